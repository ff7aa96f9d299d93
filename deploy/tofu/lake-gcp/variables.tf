variable "project" {
  description = "Id of the project."
  type        = string
}

variable "bucket" {
  description = "Name of the bucket."
  type        = string
}

variable "location" {
  description = "Location of the bucket: that of the Snowflake account."
  type        = string
}

variable "folder" {
  description = "Folder of the lake in the bucket."
  type        = string
  default     = "lake"
}

variable "service_account" {
  description = "Id of the service account under which the platform and Spark run."
  type        = string
  default     = "music-platform"
}

variable "reader_role" {
  description = "Id of the custom role with which Snowflake reads."
  type        = string
  default     = "musicLakeReader"
}

variable "snowflake_principal" {
  description = "Snowflake's service account: the snowflake module's output gcp_principal."
  type        = string
}

variable "old_version_days" {
  description = "Days for which deleted objects can be brought back."
  type        = number
  default     = 7

  validation {
    condition     = var.old_version_days >= 7 && var.old_version_days <= 90
    error_message = "Google keeps deleted objects for 7 to 90 days."
  }
}

variable "nearline_days" {
  description = "Days after which data files move to the cheaper class."
  type        = number
  default     = 60
}

variable "billing_account" {
  description = "Billing account of the budget. Null: no budget."
  type        = string
  default     = null
}

variable "monthly_budget" {
  description = "Dollars a month for the project, of which 80 % spent or 100 % forecast is reported."
  type        = number
  default     = 50
}
