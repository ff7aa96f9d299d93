output "settings" {
  description = "Lines for the platform's environment."
  value = {
    SNOWFLAKE_USER           = var.user
    SNOWFLAKE_DATABASE       = var.database
    SNOWFLAKE_WAREHOUSE      = local.warehouse
    SNOWFLAKE_ROLE           = local.roles["loader"]
    SNOWFLAKE_TRANSFORM_ROLE = local.roles["transformer"]
    SNOWFLAKE_READ_ROLE      = local.roles["reader"]
  }
}

output "aws_principal" {
  description = "Snowflake's identity in AWS, which the bucket's role has to trust. Null without a lake in S3."
  value       = try(snowflake_storage_integration_aws.lake[0].describe_output[0].iam_user_arn, null)
}

output "aws_external_id" {
  description = "The external id with which Snowflake assumes that role."
  value       = try(snowflake_storage_integration_aws.lake[0].describe_output[0].external_id, null)
}

output "gcp_principal" {
  description = "Snowflake's service account in Google Cloud, which needs read access to the bucket."
  value       = try(snowflake_storage_integration_gcs.lake[0].describe_output[0].service_account, null)
}
