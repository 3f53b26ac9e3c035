-- What schema version 6 made, in SQLite's own words.
CREATE TABLE answers (
  caller VARCHAR NOT NULL,
  "key" VARCHAR(255) NOT NULL,
  fingerprint VARCHAR(64) NOT NULL,
  process VARCHAR(36) NOT NULL,
  intent INTEGER,
  answer TEXT,
  erased BOOLEAN DEFAULT 0 NOT NULL,
  asked_at FLOAT NOT NULL,
  user_id VARCHAR,
  agent_id VARCHAR,
  app_id VARCHAR,
  run_id VARCHAR,
  PRIMARY KEY (caller, "key")
);
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
  written_by VARCHAR(36),
  user_id VARCHAR,
  agent_id VARCHAR,
  app_id VARCHAR,
  run_id VARCHAR,
  PRIMARY KEY (seq)
);
CREATE TABLE intent_parts (
  intent INTEGER NOT NULL,
  part INTEGER NOT NULL,
  ids TEXT NOT NULL,
  rows TEXT,
  PRIMARY KEY (intent, part)
);
CREATE TABLE intents (
  seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  id VARCHAR(36),
  process VARCHAR(36) NOT NULL,
  done BOOLEAN NOT NULL,
  collecting BOOLEAN DEFAULT 0 NOT NULL,
  version INTEGER DEFAULT '1' NOT NULL,
  body TEXT NOT NULL
);
CREATE TABLE jobs (
  seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  id VARCHAR(36) NOT NULL,
  state VARCHAR(10) NOT NULL,
  lane VARCHAR,
  caller VARCHAR NOT NULL,
  "key" VARCHAR(255) NOT NULL,
  fingerprint VARCHAR(64) NOT NULL,
  asked_by VARCHAR(36) NOT NULL,
  bound TEXT NOT NULL,
  body TEXT,
  outcome TEXT,
  erased BOOLEAN NOT NULL,
  attempts INTEGER NOT NULL,
  interruptions INTEGER NOT NULL,
  process VARCHAR(36),
  due_at FLOAT NOT NULL,
  accepted_at FLOAT NOT NULL,
  began_at FLOAT,
  ended_at FLOAT,
  user_id VARCHAR,
  agent_id VARCHAR,
  app_id VARCHAR,
  run_id VARCHAR,
  UNIQUE (caller, "key"),
  UNIQUE (id)
);
CREATE TABLE keys (
  id VARCHAR(36) NOT NULL,
  read_only BOOLEAN,
  ends_at FLOAT,
  created_at VARCHAR(40),
  last_used_on VARCHAR(10),
  revoked_at VARCHAR(40),
  user_id VARCHAR,
  agent_id VARCHAR,
  app_id VARCHAR,
  run_id VARCHAR,
  PRIMARY KEY (id)
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
  app_id VARCHAR,
  run_id VARCHAR,
  PRIMARY KEY (seq)
);
CREATE TABLE processes (
  token INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  id VARCHAR(36) NOT NULL,
  renewed_at DATETIME NOT NULL,
  recovered_by VARCHAR(36),
  UNIQUE (id)
);
CREATE TABLE schema_version (
  version INTEGER NOT NULL
);
CREATE TABLE tombstones (
  memory_id VARCHAR(36) NOT NULL,
  kept_at FLOAT NOT NULL,
  PRIMARY KEY (memory_id)
);
CREATE TABLE locks (
  seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  process VARCHAR(36) NOT NULL,
  hold VARCHAR(36) NOT NULL,
  kind VARCHAR(6) NOT NULL,
  "key" VARCHAR,
  intent INTEGER,
  user_id VARCHAR,
  agent_id VARCHAR,
  app_id VARCHAR,
  run_id VARCHAR,
  FOREIGN KEY(intent) REFERENCES intents (seq) ON DELETE CASCADE
);
CREATE INDEX ix_answers_agent_id ON answers (agent_id);
CREATE INDEX ix_answers_app_id ON answers (app_id);
CREATE INDEX ix_answers_asked_at ON answers (asked_at);
CREATE INDEX ix_answers_intent ON answers (intent);
CREATE INDEX ix_answers_process ON answers (process);
CREATE INDEX ix_answers_run_id ON answers (run_id);
CREATE INDEX ix_answers_user_id ON answers (user_id);
CREATE INDEX ix_history_agent_id ON history (agent_id);
CREATE INDEX ix_history_app_id ON history (app_id);
CREATE INDEX ix_history_memory_id ON history (memory_id);
CREATE INDEX ix_history_run_id ON history (run_id);
CREATE INDEX ix_history_user_id ON history (user_id);
CREATE INDEX ix_history_written_by_updated_at ON history (written_by, updated_at);
CREATE INDEX ix_intents_id ON intents (id);
CREATE INDEX ix_intents_process ON intents (process);
CREATE INDEX ix_jobs_agent_id ON jobs (agent_id);
CREATE INDEX ix_jobs_app_id ON jobs (app_id);
CREATE INDEX ix_jobs_ended_at ON jobs (ended_at);
CREATE INDEX ix_jobs_lane_seq ON jobs (lane, seq);
CREATE INDEX ix_jobs_run_id ON jobs (run_id);
CREATE INDEX ix_jobs_state_seq ON jobs (state, seq);
CREATE INDEX ix_jobs_user_id ON jobs (user_id);
CREATE INDEX ix_messages_agent_id ON messages (agent_id);
CREATE INDEX ix_messages_app_id ON messages (app_id);
CREATE INDEX ix_messages_run_id ON messages (run_id);
CREATE INDEX ix_messages_session_scope ON messages (session_scope);
CREATE INDEX ix_messages_user_id ON messages (user_id);
CREATE INDEX ix_locks_hold ON locks (hold);
CREATE INDEX ix_locks_intent ON locks (intent);
CREATE INDEX ix_locks_key ON locks ("key");
CREATE INDEX ix_locks_process ON locks (process);
INSERT INTO schema_version VALUES (6);
