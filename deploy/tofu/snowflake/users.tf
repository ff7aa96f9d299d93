locals {
  users = merge(
    {
      platform = {
        name   = var.user
        keys   = [var.public_key, var.next_public_key]
        role   = "loader"
        duties = local.setup.duties
      }
    },
    var.dashboard_public_key == null ? {} : {
      dashboard = {
        name   = local.dashboard_user
        keys   = [var.dashboard_public_key, var.next_dashboard_public_key]
        role   = "reader"
        duties = ["reader"]
      }
    },
  )
  user_roles = merge([
    for key, user in local.users : { for duty in user.duties : "${key} ${duty}" => { user = key, duty = duty } }
  ]...)
}

# A key pair, no password, and only their own roles.
resource "snowflake_service_user" "service" {
  provider = snowflake.useradmin
  for_each = local.users

  name                           = each.value.name
  rsa_public_key                 = each.value.keys[0]
  rsa_public_key_2               = each.value.keys[1]
  default_role                   = snowflake_account_role.duty[each.value.role].name
  default_secondary_roles_option = "NONE"
  default_warehouse              = local.warehouse
  default_namespace              = var.database
  timezone                       = local.setup.session_parameters.TIMEZONE
  week_start                     = local.setup.session_parameters.WEEK_START
  network_policy                 = one(snowflake_network_policy.services[*].fully_qualified_name)
}

resource "snowflake_grant_account_role" "service" {
  provider = snowflake.securityadmin
  for_each = local.user_roles

  role_name = snowflake_account_role.duty[each.value.duty].name
  user_name = snowflake_service_user.service[each.value.user].name
}

resource "snowflake_network_policy" "services" {
  provider = snowflake.securityadmin
  count    = length(var.allow_from) > 0 ? 1 : 0

  name            = "${var.database}_SERVICES"
  allowed_ip_list = var.allow_from
}
