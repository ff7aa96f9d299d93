# Everything that `music-platform snowflake-setup` prints as SQL. What is granted to whom, the tables, the policies and
# the limits come from setup.json, which `make contract` writes from music_platform/warehouse/account.py.

locals {
  setup = jsondecode(file("${path.module}/setup.json"))

  warehouse      = coalesce(var.warehouse, "${var.database}_WH")
  dashboard_user = "${var.user}_DASHBOARD"
  in_place       = var.lake_url != null
  on_s3          = local.in_place && startswith(coalesce(var.lake_url, "-"), "s3:")
  on_gcs         = local.in_place && startswith(coalesce(var.lake_url, "-"), "gcs:")

  roles = { for duty in local.setup.duties : duty => "${var.database}_${upper(duty)}" }

  # A grant on the stage makes sense only where there is one.
  grants = {
    for grant in local.setup.grants :
    join(" ", [grant.duty, join("+", grant.privileges), grant.kind, grant.name, grant.every ? "every" : "one"]) => grant
    if grant.kind != "STAGE" || local.in_place
  }
  account_grants = { for key, grant in local.grants : key => grant if contains(["WAREHOUSE", "DATABASE"], grant.kind) }
  schema_grants  = { for key, grant in local.grants : key => grant if grant.kind == "SCHEMA" }
  object_grants = {
    for key, grant in local.grants : key => grant
    if !contains(["WAREHOUSE", "DATABASE", "SCHEMA"], grant.kind) && !grant.every
  }
  every_grants = merge([
    for key, grant in local.grants : { for which in ["all", "future"] : "${key} ${which}" => merge(grant, { which = which }) }
    if grant.every
  ]...)
}

resource "snowflake_account_role" "duty" {
  provider = snowflake.useradmin
  for_each = local.roles

  name = each.value
}

# So that SYSADMIN can administer what the roles own.
resource "snowflake_grant_account_role" "sysadmin" {
  provider = snowflake.securityadmin
  for_each = snowflake_account_role.duty

  role_name        = each.value.name
  parent_role_name = "SYSADMIN"
}

resource "snowflake_resource_monitor" "monthly" {
  provider = snowflake.accountadmin

  name            = local.warehouse
  credit_quota    = var.monthly_credits
  frequency       = "MONTHLY"
  start_timestamp = "IMMEDIATELY"
  notify_triggers = [80]
  suspend_trigger = 100

  lifecycle {
    # Snowflake replaces the word by a time.
    ignore_changes = [start_timestamp]
  }
}

resource "snowflake_warehouse" "platform" {
  provider = snowflake.accountadmin

  name                         = local.warehouse
  warehouse_size               = var.warehouse_size
  auto_suspend                 = local.setup.auto_suspend_seconds
  auto_resume                  = true
  initially_suspended          = true
  statement_timeout_in_seconds = local.setup.statement_timeout_seconds
  resource_monitor             = snowflake_resource_monitor.monthly.fully_qualified_name
}

resource "snowflake_database" "platform" {
  provider = snowflake.sysadmin

  name = var.database

  lifecycle {
    # RAW cannot be made again from anywhere but the lake.
    prevent_destroy = true
  }
}

resource "snowflake_schema" "platform" {
  provider = snowflake.sysadmin
  for_each = toset(local.setup.schemas)

  database = snowflake_database.platform.name
  name     = each.value
}

resource "snowflake_masking_policy" "personal" {
  provider = snowflake.sysadmin
  for_each = local.setup.masking_policies

  database         = snowflake_database.platform.name
  schema           = snowflake_schema.platform[each.value.schema].name
  name             = each.key
  return_data_type = each.value.type
  body = join(" ", [
    "CASE WHEN",
    join(" OR ", [for duty in local.setup.unmasked : "IS_ROLE_IN_SESSION('${local.roles[duty]}')"]),
    "THEN personal ELSE ${each.value.masked} END",
  ])

  argument {
    name = "personal"
    type = each.value.type
  }
}

# The provider's tables are a preview. These only grow: the platform adds missing columns itself.
resource "snowflake_execute" "table" {
  provider = snowflake.sysadmin
  for_each = local.setup.tables

  execute = replace(
    replace(each.value, "NOT EXISTS ${each.key}", "NOT EXISTS ${var.database}.${each.key}"),
    "MASKING POLICY OPS.", "MASKING POLICY ${var.database}.OPS.",
  )
  revert = "SELECT 'the table ${each.key} stays'"

  depends_on = [snowflake_schema.platform, snowflake_masking_policy.personal]

  lifecycle {
    ignore_changes = [execute]
  }
}

resource "snowflake_grant_ownership" "table" {
  provider = snowflake.securityadmin
  for_each = local.setup.tables

  account_role_name   = snowflake_account_role.duty["loader"].name
  outbound_privileges = "COPY"

  on {
    object_type = "TABLE"
    object_name = join(".", [for part in split(".", "${var.database}.${each.key}") : "\"${part}\""])
  }

  depends_on = [snowflake_execute.table]
}

resource "snowflake_grant_privileges_to_account_role" "account_object" {
  provider = snowflake.securityadmin
  for_each = local.account_grants

  account_role_name = snowflake_account_role.duty[each.value.duty].name
  privileges        = each.value.privileges

  on_account_object {
    object_type = each.value.kind
    object_name = each.value.kind == "DATABASE" ? snowflake_database.platform.name : snowflake_warehouse.platform.name
  }
}

resource "snowflake_grant_privileges_to_account_role" "schema" {
  provider = snowflake.securityadmin
  for_each = local.schema_grants

  account_role_name = snowflake_account_role.duty[each.value.duty].name
  privileges        = each.value.privileges

  on_schema {
    schema_name = snowflake_schema.platform[each.value.name].fully_qualified_name
  }
}

resource "snowflake_grant_privileges_to_account_role" "object" {
  provider = snowflake.securityadmin
  for_each = local.object_grants

  account_role_name = snowflake_account_role.duty[each.value.duty].name
  privileges        = each.value.privileges

  on_schema_object {
    object_type = each.value.kind
    object_name = join(".", [for part in split(".", "${var.database}.${each.value.name}") : "\"${part}\""])
  }

  depends_on = [snowflake_grant_ownership.table, snowflake_masking_policy.personal, snowflake_stage_external_s3.lake, snowflake_stage_external_gcs.lake]
}

resource "snowflake_grant_privileges_to_account_role" "every" {
  provider = snowflake.securityadmin
  for_each = local.every_grants

  account_role_name = snowflake_account_role.duty[each.value.duty].name
  privileges        = each.value.privileges

  on_schema_object {
    dynamic "all" {
      for_each = each.value.which == "all" ? [1] : []

      content {
        object_type_plural = "${each.value.kind}S"
        in_schema          = snowflake_schema.platform[each.value.name].fully_qualified_name
      }
    }

    dynamic "future" {
      for_each = each.value.which == "future" ? [1] : []

      content {
        object_type_plural = "${each.value.kind}S"
        in_schema          = snowflake_schema.platform[each.value.name].fully_qualified_name
      }
    }
  }

  depends_on = [snowflake_grant_ownership.table]
}
