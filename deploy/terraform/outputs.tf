output "distribution" {
  description = "Where the DNS of the domain has to lead."
  value       = aws_cloudfront_distribution.links.domain_name
}

output "api" {
  description = "Where the DNS of the API has to lead, inside the VPC."
  value       = aws_lb.gates.dns_name
}

output "role_arn" {
  description = "Who the gate is in S3."
  value       = aws_iam_role.gate.arn
}
