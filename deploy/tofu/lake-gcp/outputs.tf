output "lake_url" {
  description = "LAKE_URL of the platform."
  value       = "gs://${google_storage_bucket.lake.name}/${var.folder}"
}

output "service_account" {
  description = "The service account under which the platform and Spark run."
  value       = google_service_account.platform.email
}
