-- The roles and the database of the command centre, for a city's own PostgreSQL server (15 or newer, PostGIS 3).
-- Run as a superuser; running it again changes nothing:
--     psql -v ON_ERROR_STOP=1 -d postgres -f deploy/roles.sql
-- It sets no passwords. Set them by hand (\password cc_owner and so on), then let pg_hba.conf ask for scram-sha-256.
-- The server must run with fsync, full_page_writes and synchronous_commit on: the product refuses one that does not.

SELECT format('CREATE ROLE %I', wanted.name)
FROM (VALUES ('cc_owner'), ('cc_worker'), ('cc_web')) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name)
\gexec

-- Owns the database and migrates it.
ALTER ROLE cc_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
-- Writes what sensors report. COPY FROM refuses tables under row-level security, so it passes by them.
ALTER ROLE cc_worker LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE BYPASSRLS;
-- A worker that hangs inside a transaction must not hold the event log's lock for long.
ALTER ROLE cc_worker SET idle_in_transaction_session_timeout = '5s';
ALTER ROLE cc_worker SET lock_timeout = '10s';
-- Serves people; row-level security decides what it sees.
ALTER ROLE cc_web LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;

SELECT 'CREATE DATABASE command_center OWNER cc_owner TEMPLATE template0 ENCODING ''UTF8'' LC_COLLATE ''C.UTF-8'' LC_CTYPE ''C.UTF-8'''
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'command_center')
\gexec

REVOKE ALL ON DATABASE command_center FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE command_center TO cc_worker, cc_web;

\connect command_center
CREATE EXTENSION IF NOT EXISTS postgis;
