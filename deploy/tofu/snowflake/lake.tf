resource "snowflake_storage_integration_aws" "lake" {
  provider = snowflake.accountadmin
  count    = local.on_s3 ? 1 : 0

  name                      = "${var.database}_LAKE"
  enabled                   = true
  storage_provider          = "S3"
  storage_aws_role_arn      = var.aws_role_arn
  storage_allowed_locations = [var.lake_url]

  lifecycle {
    precondition {
      condition     = var.aws_role_arn != null
      error_message = "A lake in S3 needs aws_role_arn, the role that may read its bucket."
    }
  }
}

resource "snowflake_storage_integration_gcs" "lake" {
  provider = snowflake.accountadmin
  count    = local.on_gcs ? 1 : 0

  name                      = "${var.database}_LAKE"
  enabled                   = true
  storage_allowed_locations = [var.lake_url]
}

locals {
  integration = try(snowflake_storage_integration_aws.lake[0].name, snowflake_storage_integration_gcs.lake[0].name, null)
}

resource "snowflake_grant_privileges_to_account_role" "integration" {
  provider = snowflake.accountadmin
  count    = local.in_place ? 1 : 0

  account_role_name = "SYSADMIN"
  privileges        = ["USAGE"]

  on_account_object {
    object_type = "INTEGRATION"
    object_name = local.integration
  }
}

resource "snowflake_stage_external_s3" "lake" {
  provider = snowflake.sysadmin
  count    = local.on_s3 ? 1 : 0

  database            = snowflake_database.platform.name
  schema              = snowflake_schema.platform["RAW"].name
  name                = split(".", local.setup.lake_stage)[1]
  url                 = var.lake_url
  storage_integration = local.integration

  depends_on = [snowflake_grant_privileges_to_account_role.integration]
}

resource "snowflake_stage_external_gcs" "lake" {
  provider = snowflake.sysadmin
  count    = local.on_gcs ? 1 : 0

  database            = snowflake_database.platform.name
  schema              = snowflake_schema.platform["RAW"].name
  name                = split(".", local.setup.lake_stage)[1]
  url                 = var.lake_url
  storage_integration = local.integration

  depends_on = [snowflake_grant_privileges_to_account_role.integration]
}
