# The contract's topics, for a cluster on which the platform may not create them itself.

terraform {
  required_version = ">= 1.8"

  required_providers {
    kafka = {
      source  = "Mongey/kafka"
      version = "~> 0.13"
    }
  }
}

locals {
  topics = toset(concat(jsondecode(file("${path.module}/topics.json")), var.shape_topics))
}

resource "kafka_topic" "events" {
  for_each = local.topics

  name               = "${var.prefix}${each.value}"
  partitions         = var.partitions
  replication_factor = var.replicas

  config = {
    "cleanup.policy"                 = "delete"
    "retention.ms"                   = tostring(var.retention_hours * 3600 * 1000)
    "min.insync.replicas"            = tostring(max(1, var.replicas - 1))
    "unclean.leader.election.enable" = "false"
  }

  lifecycle {
    # A topic created again has another id, and the stream stops until somebody adopts it.
    prevent_destroy = true
  }
}

# The platform reads the topics; it commits no offsets to Kafka.
resource "kafka_acl" "read" {
  for_each = var.platform_principal == null ? [] : local.topics

  resource_name       = kafka_topic.events[each.value].name
  resource_type       = "Topic"
  acl_principal       = var.platform_principal
  acl_host            = "*"
  acl_operation       = "Read"
  acl_permission_type = "Allow"
}
