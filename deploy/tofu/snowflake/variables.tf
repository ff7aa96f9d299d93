variable "database" {
  description = "The platform's database, SNOWFLAKE_DATABASE. The other names are derived from it unless they are given."
  type        = string
  default     = "MUSIC"

  validation {
    condition     = can(regex("^[A-Z_][A-Z0-9_$]*$", var.database))
    error_message = "Write a name that SQL takes without quotes, in capitals."
  }
}

variable "warehouse" {
  description = "The virtual warehouse, SNOWFLAKE_WAREHOUSE."
  type        = string
  default     = null
}

variable "warehouse_size" {
  description = "Size of the virtual warehouse."
  type        = string
  default     = "XSMALL"
}

variable "monthly_credits" {
  description = "Credits per month after which the warehouse stops."
  type        = number
  default     = 100

  validation {
    condition     = var.monthly_credits >= 1
    error_message = "At least 1."
  }
}

variable "user" {
  description = "The platform's service user, SNOWFLAKE_USER."
  type        = string
  default     = "MUSIC_PLATFORM"
}

variable "public_key" {
  description = "The platform's public key in base64, without the lines BEGIN and END."
  type        = string
}

variable "next_public_key" {
  description = "A second key of the platform's, valid beside the first while clients change over."
  type        = string
  default     = null
}

variable "dashboard_public_key" {
  description = "Public key of a user who only reads. Null: no such user."
  type        = string
  default     = null
}

variable "next_dashboard_public_key" {
  description = "A second key of that user's."
  type        = string
  default     = null
}

variable "allow_from" {
  description = "Addresses from which the service users may log in, such as 192.0.2.0/24. Empty: any."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for range in var.allow_from : can(cidrhost(range, 0)) && !endswith(range, "/0")])
    error_message = "Write ranges of addresses such as 192.0.2.0/24. To allow any address, leave the list empty."
  }
}

variable "lake_url" {
  description = "The lake's folder as Snowflake writes it: s3://bucket/lake/ or gcs://bucket/lake/. Null: files are PUT."
  type        = string
  default     = null

  validation {
    condition     = var.lake_url == null || can(regex("^(s3|gcs)://[^/]+/.*/$", var.lake_url))
    error_message = "Write s3://bucket/folder/ or gcs://bucket/folder/."
  }
}

variable "aws_role_arn" {
  description = "For a lake in S3: ARN of the role that may read its bucket. Compose it from the account and the role's name, so that both sides of the trust fit into one apply (see examples/complete)."
  type        = string
  default     = null
}
