# The whole of production but the machine: lake, account and topics, with the trust between bucket and Snowflake in one
# apply. Snowflake's integration names the reading role before it exists; the role trusts the identity that comes back.

terraform {
  required_version = ">= 1.8"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.60, < 7.0"
    }
    kafka = {
      source  = "Mongey/kafka"
      version = "~> 0.13"
    }
    snowflake = {
      source  = "snowflakedb/snowflake"
      version = "~> 2.20"
    }
  }

  # State holds names and public keys, no secret, but whoever writes it owns the account's roles. So it is remote,
  # encrypted, and locked. The bucket is made by hand, once.
  backend "s3" {
    bucket       = "example-music-tofu-state"
    key          = "music-platform.tfstate"
    region       = "eu-central-1"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { project = "music-platform" }
  }
}

# Account, user and key come from SNOWFLAKE_ORGANIZATION_NAME, SNOWFLAKE_ACCOUNT_NAME, SNOWFLAKE_USER,
# SNOWFLAKE_PRIVATE_KEY; the user is an administrator with a key pair.
provider "snowflake" {
  alias         = "accountadmin"
  role          = "ACCOUNTADMIN"
  authenticator = "SNOWFLAKE_JWT"
}

provider "snowflake" {
  alias         = "securityadmin"
  role          = "SECURITYADMIN"
  authenticator = "SNOWFLAKE_JWT"
}

provider "snowflake" {
  alias         = "sysadmin"
  role          = "SYSADMIN"
  authenticator = "SNOWFLAKE_JWT"
}

provider "snowflake" {
  alias         = "useradmin"
  role          = "USERADMIN"
  authenticator = "SNOWFLAKE_JWT"
}

provider "kafka" {
  bootstrap_servers = var.bootstrap_servers
  tls_enabled       = true
  sasl_mechanism    = "scram-sha512"
  sasl_username     = var.kafka_username
  sasl_password     = var.kafka_password
}

data "aws_caller_identity" "current" {}

module "snowflake" {
  source = "../../snowflake"

  providers = {
    snowflake.accountadmin  = snowflake.accountadmin
    snowflake.securityadmin = snowflake.securityadmin
    snowflake.sysadmin      = snowflake.sysadmin
    snowflake.useradmin     = snowflake.useradmin
  }

  database             = var.database
  monthly_credits      = var.monthly_credits
  public_key           = var.public_key
  dashboard_public_key = var.dashboard_public_key
  allow_from           = var.allow_from
  lake_url             = "s3://${var.bucket}/lake/"
  aws_role_arn         = "arn:aws:iam::${data.aws_caller_identity.current.account_id}:role/${var.reader_role}"
}

module "lake" {
  source = "../../lake-aws"

  bucket                = var.bucket
  reader_role           = var.reader_role
  snowflake_principal   = module.snowflake.aws_principal
  snowflake_external_id = module.snowflake.aws_external_id
  monthly_budget        = var.monthly_budget
  budget_emails         = var.budget_emails
}

module "topics" {
  source = "../../kafka-topics"

  platform_principal = "User:${var.kafka_username}"
}

output "settings" {
  description = "Lines for the platform's environment."
  value = merge(module.snowflake.settings, {
    LAKE_URL   = module.lake.lake_url
    INTAKE_URL = module.lake.intake_url
  })
}
