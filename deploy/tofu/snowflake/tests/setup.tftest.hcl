# With mocked providers: nothing is created, no account is needed. `tofu test` in deploy/tofu/snowflake.

mock_provider "snowflake" {
  alias = "accountadmin"

  mock_resource "snowflake_resource_monitor" {
    defaults = { fully_qualified_name = "\"MUSIC_WH\"" }
  }
}

mock_provider "snowflake" {
  alias = "securityadmin"

  mock_resource "snowflake_network_policy" {
    defaults = { fully_qualified_name = "\"MUSIC_SERVICES\"" }
  }
}

mock_provider "snowflake" {
  alias = "sysadmin"

  mock_resource "snowflake_schema" {
    defaults = { fully_qualified_name = "\"MUSIC\".\"RAW\"" }
  }
}

mock_provider "snowflake" {
  alias = "useradmin"
}

variables {
  public_key = "MIIB"
}

run "defaults" {
  command = plan

  assert {
    condition     = toset([for role in snowflake_account_role.duty : role.name]) == toset(["MUSIC_LOADER", "MUSIC_TRANSFORMER", "MUSIC_READER"])
    error_message = "Three roles, named after the database."
  }

  assert {
    condition     = alltrue([for grant in snowflake_grant_account_role.sysadmin : grant.parent_role_name == "SYSADMIN"])
    error_message = "SYSADMIN inherits the roles."
  }

  assert {
    condition     = snowflake_warehouse.platform.auto_suspend == 60 && snowflake_warehouse.platform.warehouse_size == "XSMALL"
    error_message = "The warehouse suspends after a minute."
  }

  assert {
    condition     = snowflake_warehouse.platform.statement_timeout_in_seconds == 3600
    error_message = "A statement that hangs costs an hour at most."
  }

  assert {
    condition     = snowflake_resource_monitor.monthly.credit_quota == 100 && snowflake_resource_monitor.monthly.suspend_trigger == 100
    error_message = "The monitor suspends the warehouse at its quota."
  }

  assert {
    condition     = toset([for schema in snowflake_schema.platform : schema.name]) == toset(["RAW", "STAGING", "SILVER", "GOLD", "OPS"])
    error_message = "Five schemas."
  }

  assert {
    condition     = length(snowflake_execute.table) == 11 && length(snowflake_grant_ownership.table) == 11
    error_message = "Every table exists and belongs to the loading role."
  }

  assert {
    condition     = strcontains(snowflake_execute.table["RAW.EVENTS"].execute, "NOT EXISTS MUSIC.RAW.EVENTS (")
    error_message = "Tables are named with their database."
  }

  assert {
    condition     = length(snowflake_masking_policy.personal) == 3
    error_message = "A policy for each type of personal column."
  }

  assert {
    condition     = !strcontains(snowflake_masking_policy.personal["PERSONAL_TEXT"].body, "MUSIC_READER")
    error_message = "The reading role sees personal columns masked."
  }

  assert {
    condition     = length(snowflake_grant_privileges_to_account_role.account_object) == 6
    error_message = "Each role may use the warehouse and the database."
  }

  assert {
    condition = length([
      for key, grant in snowflake_grant_privileges_to_account_role.schema : key
      if startswith(key, "reader") && strcontains(key, "CREATE")
    ]) == 0
    error_message = "The reading role creates nothing."
  }

  assert {
    condition     = length([for key, grant in local.grants : key if startswith(key, "reader") && grant.name == "RAW"]) == 0
    error_message = "The reading role has no grant on RAW."
  }

  assert {
    condition     = keys(snowflake_service_user.service) == ["platform"] && snowflake_service_user.service["platform"].default_secondary_roles_option == "NONE"
    error_message = "One service user, with one role at a time."
  }

  assert {
    condition     = length(snowflake_network_policy.services) == 0 && length(snowflake_storage_integration_aws.lake) == 0
    error_message = "No network policy and no integration unless asked for."
  }
}

run "lake_in_s3" {
  command = plan

  variables {
    lake_url             = "s3://bucket/lake/"
    aws_role_arn         = "arn:aws:iam::123456789012:role/music-lake-reader"
    dashboard_public_key = "MIIC"
    allow_from           = ["192.0.2.0/24"]
    monthly_credits      = 7
  }

  assert {
    condition     = snowflake_storage_integration_aws.lake[0].storage_allowed_locations == tolist(["s3://bucket/lake/"])
    error_message = "The integration reads the lake's folder only."
  }

  assert {
    condition     = snowflake_stage_external_s3.lake[0].name == "LAKE_FILES"
    error_message = "The stage that COPY reads."
  }

  assert {
    condition     = length([for grant in local.grants : grant if grant.kind == "STAGE"]) == 1
    error_message = "The loading role may use the stage."
  }

  assert {
    condition     = [for key, grant in snowflake_grant_account_role.service : key if startswith(key, "dashboard")] == ["dashboard reader"]
    error_message = "The dashboard's user has the reading role alone."
  }

  assert {
    condition     = snowflake_network_policy.services[0].allowed_ip_list == toset(["192.0.2.0/24"])
    error_message = "Users log in from these addresses only."
  }

  assert {
    condition     = snowflake_resource_monitor.monthly.credit_quota == 7
    error_message = "The quota is a variable."
  }
}

run "every_address_is_refused" {
  command = plan

  variables {
    allow_from = ["0.0.0.0/0"]
  }

  expect_failures = [var.allow_from]
}
