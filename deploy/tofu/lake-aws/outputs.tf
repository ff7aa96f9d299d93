output "lake_url" {
  description = "LAKE_URL of the platform."
  value       = "s3a://${aws_s3_bucket.lake.bucket}/${var.folder}"
}

output "intake_url" {
  description = "INTAKE_URL of the platform."
  value       = "s3a://${aws_s3_bucket.lake.bucket}/${var.intake_folder}"
}

output "reader_arn" {
  description = "ARN of the role through which Snowflake reads."
  value       = aws_iam_role.reader.arn
}

output "composed_reader_arn" {
  description = "The same ARN, known before the role is there."
  value       = local.reader_arn
}

output "writer_policy_arn" {
  description = "Policy for the role under which the platform and Spark run."
  value       = aws_iam_policy.writer.arn
}
