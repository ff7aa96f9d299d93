output "topics" {
  description = "The topics."
  value       = [for topic in kafka_topic.events : topic.name]
}
