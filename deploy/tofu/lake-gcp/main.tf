# The bucket of the lake, who may read and write it, and what it may cost.

terraform {
  required_version = ">= 1.8"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.0, < 8.0"
    }
  }
}

resource "google_storage_bucket" "lake" {
  name                        = var.bucket
  project                     = var.project
  location                    = var.location
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false

  soft_delete_policy {
    retention_duration_seconds = var.old_version_days * 24 * 3600
  }

  # The data files only: log and checkpoint are small and read all the time.
  lifecycle_rule {
    condition {
      age            = var.nearline_days
      matches_prefix = ["${var.folder}/events/"]
      matches_suffix = [".parquet"]
    }

    action {
      type          = "SetStorageClass"
      storage_class = "NEARLINE"
    }
  }

  lifecycle_rule {
    condition {
      age = 7
    }

    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_service_account" "platform" {
  project      = var.project
  account_id   = var.service_account
  display_name = "Writes the lake of music-platform"
}

resource "google_storage_bucket_iam_member" "writer" {
  bucket = google_storage_bucket.lake.name
  role   = "roles/storage.objectUser"
  member = google_service_account.platform.member
}

# What Snowflake needs to read in place: get and list, no more.
resource "google_project_iam_custom_role" "reader" {
  project     = var.project
  role_id     = var.reader_role
  title       = "Reads the lake of music-platform"
  permissions = ["storage.buckets.get", "storage.objects.get", "storage.objects.list"]
}

resource "google_storage_bucket_iam_member" "snowflake" {
  bucket = google_storage_bucket.lake.name
  role   = google_project_iam_custom_role.reader.id
  member = "serviceAccount:${var.snowflake_principal}"
}

resource "google_billing_budget" "monthly" {
  count = var.billing_account == null ? 0 : 1

  billing_account = var.billing_account
  display_name    = "${var.bucket} monthly"

  budget_filter {
    projects = ["projects/${var.project}"]
  }

  amount {
    specified_amount {
      currency_code = "USD"
      units         = tostring(var.monthly_budget)
    }
  }

  threshold_rules {
    threshold_percent = 0.8
  }

  threshold_rules {
    threshold_percent = 1.0
    spend_basis       = "FORECASTED_SPEND"
  }
}
