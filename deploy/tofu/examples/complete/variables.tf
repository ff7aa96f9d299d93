variable "region" {
  description = "Region of the bucket: that of the Snowflake account."
  type        = string
}

variable "bucket" {
  description = "Name of the lake's bucket."
  type        = string
}

variable "reader_role" {
  description = "Name of the role through which Snowflake reads the lake."
  type        = string
  default     = "music-lake-reader"
}

variable "database" {
  description = "The platform's database."
  type        = string
  default     = "MUSIC"
}

variable "monthly_credits" {
  description = "Credits per month after which the warehouse stops."
  type        = number
  default     = 100
}

variable "public_key" {
  description = "The platform's public key in base64."
  type        = string
}

variable "dashboard_public_key" {
  description = "Public key of a user who only reads."
  type        = string
  default     = null
}

variable "allow_from" {
  description = "Addresses from which the platform logs in to Snowflake."
  type        = list(string)
}

variable "monthly_budget" {
  description = "Dollars a month for storage."
  type        = number
  default     = 50
}

variable "budget_emails" {
  description = "Who is told when most of it is spent."
  type        = list(string)
  default     = []
}

variable "bootstrap_servers" {
  description = "Addresses of the Kafka cluster."
  type        = list(string)
}

variable "kafka_username" {
  description = "SASL user who may create topics."
  type        = string
}

variable "kafka_password" {
  description = "Its password."
  type        = string
  sensitive   = true
}
