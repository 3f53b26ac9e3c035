"use strict";
SwaggerUIBundle({
  url: "openapi.yaml",
  dom_id: "#swagger-ui",
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  persistAuthorization: false, // a key is forgotten with the page
  validatorUrl: null, // it would send the document to another host
});
