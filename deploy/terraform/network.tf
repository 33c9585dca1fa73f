# An internal balancer: CloudFront comes in as an origin in the VPC, applications call
# the API. Nothing has a public address. No access logs here: paths are links.

data "aws_vpc" "here" {
  id = var.vpc_id
}

# That of CloudFront's way into the VPC, which is there once the first origin is.
data "aws_security_group" "cloudfront" {
  name       = "CloudFront-VPCOrigins-Service-SG"
  vpc_id     = var.vpc_id
  depends_on = [aws_cloudfront_vpc_origin.gates]
}

resource "aws_security_group" "balancer" {
  name   = "${var.name}-balancer"
  vpc_id = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "links" {
  security_group_id            = aws_security_group.balancer.id
  referenced_security_group_id = data.aws_security_group.cloudfront.id
  ip_protocol                  = "tcp"
  from_port                    = 80
  to_port                      = 80
}

resource "aws_vpc_security_group_ingress_rule" "api" {
  for_each                     = var.api_clients
  security_group_id            = aws_security_group.balancer.id
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  security_group_id            = aws_security_group.balancer.id
  referenced_security_group_id = aws_security_group.gate.id
  ip_protocol                  = "tcp"
  from_port                    = 8080
  to_port                      = 8090
}

resource "aws_security_group" "gate" {
  name   = "${var.name}-gate"
  vpc_id = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "gate" {
  security_group_id            = aws_security_group.gate.id
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = 8080
  to_port                      = 8090
}

# To the metrics. Profiles are at that port too, so it is not for everybody.
resource "aws_vpc_security_group_ingress_rule" "metrics" {
  for_each                     = var.metrics_clients
  security_group_id            = aws_security_group.gate.id
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 8091
  to_port                      = 8091
}

# To S3, Secrets Manager and the registry, over TLS.
resource "aws_vpc_security_group_egress_rule" "gate" {
  security_group_id = aws_security_group.gate.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "gate_redis" {
  security_group_id            = aws_security_group.gate.id
  referenced_security_group_id = aws_security_group.redis.id
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}

resource "aws_security_group" "redis" {
  name   = "${var.name}-redis"
  vpc_id = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "redis" {
  security_group_id            = aws_security_group.redis.id
  referenced_security_group_id = aws_security_group.gate.id
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}

resource "aws_lb" "gates" {
  name                       = var.name
  internal                   = true
  load_balancer_type         = "application"
  subnets                    = var.subnet_ids
  security_groups            = [aws_security_group.balancer.id]
  idle_timeout               = local.idle_timeout
  drop_invalid_header_fields = true
}

resource "aws_lb_target_group" "gates" {
  for_each             = { links = 8080, api = 8090 }
  name                 = "${var.name}-${each.key}"
  target_type          = "ip"
  vpc_id               = var.vpc_id
  port                 = each.value
  protocol             = "HTTP"
  deregistration_delay = local.drain_timeout

  health_check {
    port                = "8090"
    path                = "/readyz"
    matcher             = "200"
    interval            = 5
    timeout             = 4
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "links" {
  load_balancer_arn = aws_lb.gates.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.gates["links"].arn
  }
}

resource "aws_lb_listener" "api" {
  load_balancer_arn = aws_lb.gates.arn
  port              = 443
  protocol          = "HTTPS"
  certificate_arn   = var.api_certificate_arn
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.gates["api"].arn
  }
}
