variable "bucket" {
  description = "Name of the bucket."
  type        = string
}

variable "folder" {
  description = "Folder of the lake in the bucket."
  type        = string
  default     = "lake"
}

variable "intake_folder" {
  description = "Folder in which producers drop files."
  type        = string
  default     = "intake"
}

variable "reader_role" {
  description = "Name of the role through which Snowflake reads the lake."
  type        = string
  default     = "music-lake-reader"
}

variable "writer_policy" {
  description = "Name of the policy for the platform's own role."
  type        = string
  default     = "music-lake-writer"
}

variable "snowflake_principal" {
  description = "Snowflake's identity in AWS: the snowflake module's output aws_principal."
  type        = string
}

variable "snowflake_external_id" {
  description = "The snowflake module's output aws_external_id."
  type        = string
}

variable "old_version_days" {
  description = "Days for which replaced and deleted objects can be brought back."
  type        = number
  default     = 7
}

variable "infrequent_access_days" {
  description = "Days after which data files move to the cheaper class."
  type        = number
  default     = 60

  validation {
    condition     = var.infrequent_access_days >= 30
    error_message = "S3 moves objects to this class after 30 days at the earliest."
  }
}

variable "monthly_budget" {
  description = "Dollars a month for storage, of which 80 % spent or 100 % forecast is reported."
  type        = number
  default     = 50
}

variable "budget_emails" {
  description = "Who gets that report. Empty: no budget."
  type        = list(string)
  default     = []
}
