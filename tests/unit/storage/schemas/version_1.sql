-- What schema version 1 made, in SQLite's own words.
CREATE TABLE history (
  seq INTEGER NOT NULL,
  id VARCHAR(36) NOT NULL,
  memory_id VARCHAR(36) NOT NULL,
  old_memory TEXT,
  new_memory TEXT,
  event VARCHAR(8) NOT NULL,
  created_at VARCHAR(40),
  updated_at VARCHAR(40),
  is_deleted BOOLEAN NOT NULL,
  actor_id VARCHAR,
  role VARCHAR,
  user_id VARCHAR,
  agent_id VARCHAR,
  run_id VARCHAR,
  PRIMARY KEY (seq)
);
CREATE TABLE messages (
  seq INTEGER NOT NULL,
  id VARCHAR(36) NOT NULL,
  session_scope VARCHAR NOT NULL,
  role VARCHAR,
  content TEXT,
  name VARCHAR,
  created_at VARCHAR(40) NOT NULL,
  user_id VARCHAR,
  agent_id VARCHAR,
  run_id VARCHAR,
  PRIMARY KEY (seq)
);
CREATE TABLE schema_version (
  version INTEGER NOT NULL
);
CREATE INDEX ix_history_user_id ON history (user_id);
CREATE INDEX ix_history_memory_id ON history (memory_id);
CREATE INDEX ix_history_run_id ON history (run_id);
CREATE INDEX ix_history_agent_id ON history (agent_id);
CREATE INDEX ix_messages_agent_id ON messages (agent_id);
CREATE INDEX ix_messages_run_id ON messages (run_id);
CREATE INDEX ix_messages_user_id ON messages (user_id);
CREATE INDEX ix_messages_session_scope_created_at ON messages (session_scope, created_at);
INSERT INTO schema_version VALUES (1);
