-- What the dashboard needs in a Snowflake account, after `music-platform snowflake-setup`. An administrator runs it once;
-- it can be run again. With other names in the settings, change them here and in snowflake.yml too.
--
--   snow sql -f dashboard/deploy.sql
--   cd dashboard && snow streamlit deploy --replace --role MUSIC_DASHBOARD --warehouse MUSIC_WH
--
-- A Streamlit application has the rights of its owner, whoever looks at it. So its owner is a role that can read what
-- MUSIC_READER can read, with personal columns masked, and that owns nothing but the application.
USE ROLE USERADMIN;
CREATE ROLE IF NOT EXISTS MUSIC_DASHBOARD;

USE ROLE SECURITYADMIN;
GRANT ROLE MUSIC_READER TO ROLE MUSIC_DASHBOARD;
GRANT ROLE MUSIC_DASHBOARD TO ROLE SYSADMIN;

USE ROLE SYSADMIN;
CREATE SCHEMA IF NOT EXISTS MUSIC.DASHBOARD;

USE ROLE SECURITYADMIN;
GRANT USAGE, CREATE STAGE, CREATE STREAMLIT ON SCHEMA MUSIC.DASHBOARD TO ROLE MUSIC_DASHBOARD;
-- Whoever may read the marts may open the application, which is granted to MUSIC_READER when it is deployed.
GRANT USAGE ON SCHEMA MUSIC.DASHBOARD TO ROLE MUSIC_READER;
