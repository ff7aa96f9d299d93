variable "prefix" {
  description = "TOPIC_PREFIX of the platform."
  type        = string
  default     = ""
}

variable "shape_topics" {
  description = "Topics with other producers' shapes, without the prefix: the names in SHAPE_TOPICS."
  type        = list(string)
  default     = []
}

variable "partitions" {
  description = "Partitions of each topic."
  type        = number
  default     = 12
}

variable "replicas" {
  description = "Replicas of each topic."
  type        = number
  default     = 3

  validation {
    condition     = var.replicas >= 2
    error_message = "A topic with one replica is lost with its broker."
  }
}

variable "retention_hours" {
  description = "Hours for which records are kept. The platform may be down for that long without losing any."
  type        = number
  default     = 168
}

variable "platform_principal" {
  description = "The platform's principal, such as User:music-platform. Null: no ACLs."
  type        = string
  default     = null
}
