#!/usr/bin/env bash
# Runs roles.sql and sets the three passwords from the environment; the database container does this on its first start.
set -euo pipefail
folder=${ROLES_FOLDER:-/roles}
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres --file "$folder/roles.sql"
# The passwords come from the environment, not from the command line, which other users can read.
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv owner CC_OWNER_PASSWORD
\getenv worker CC_WORKER_PASSWORD
\getenv web CC_WEB_PASSWORD
ALTER ROLE cc_owner PASSWORD :'owner';
ALTER ROLE cc_worker PASSWORD :'worker';
ALTER ROLE cc_web PASSWORD :'web';
SQL
