locals {
  # In seconds. A transfer that stalls sends nothing, so whoever reads must be patient
  # for longer than revocation.stall_timeout.
  stall_timeout = 45
  read_timeout  = 60
  drain_timeout = 30
  # The balancer closes idle connections, to both sides. The gate must not be first: what
  # the balancer sends at that moment would be 502.
  idle_timeout      = local.read_timeout + 60
  gate_idle_timeout = local.idle_timeout + 60
  # In MiB. Go is told four fifths of it; see docs/limits.md.
  memory = 2048

  settings = {
    S3GATE_PUBLIC_URL               = "https://${var.domain}"
    S3GATE_LINKS_ADDR               = ":8080"
    S3GATE_LINKS_IDLE_TIMEOUT       = "${local.gate_idle_timeout}s"
    S3GATE_API_ADDR                 = ":8090"
    S3GATE_API_IDLE_TIMEOUT         = "${local.gate_idle_timeout}s"
    S3GATE_OPS_ADDR                 = ":8091"
    S3GATE_TRUSTED_PROXIES          = data.aws_vpc.here.cidr_block
    S3GATE_CLIENT_HEADER            = "CloudFront-Viewer-Address"
    S3GATE_REDIS_ADDRS              = "${aws_elasticache_replication_group.redis.primary_endpoint_address}:6379"
    S3GATE_REDIS_TLS                = "true"
    S3GATE_REDIS_REPLICAS           = tostring(var.redis_replicas)
    S3GATE_REVOCATION_STALL_TIMEOUT = "${local.stall_timeout}s"
    S3GATE_DRAIN_TIMEOUT            = "${local.drain_timeout}s"
    S3GATE_BUCKETS_DOCS_NAME        = aws_s3_bucket.files.id
    S3GATE_BUCKETS_DOCS_REGION      = var.region
    S3GATE_BUCKETS_DOCS_PRINCIPAL   = aws_iam_role.gate.arn
  }

  secrets = { for name, arn in {
    S3GATE_API_JWT_HS256_KEY      = var.jwt_key_secret_arn
    S3GATE_TOKENS_MINT_SECRET     = var.mint_secret_arn
    S3GATE_REDIS_PASSWORD         = var.redis_password_secret_arn
    S3GATE_ORIGIN_SECRET          = var.origin_secret_arn
    S3GATE_ORIGIN_PREVIOUS_SECRET = var.origin_other_secret_arn
  } : name => arn if arn != null }

  # What is above cannot be overridden.
  environment = merge({ GOMEMLIMIT = "${floor(local.memory * 4 / 5)}MiB" }, var.environment, local.settings)
}

resource "aws_cloudwatch_log_group" "gates" {
  name              = "/${var.name}"
  retention_in_days = 90
}

resource "aws_ecs_cluster" "gates" {
  name = var.name
}

resource "aws_ecs_task_definition" "gate" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 1024
  memory                   = local.memory
  task_role_arn            = aws_iam_role.gate.arn
  execution_role_arn       = aws_iam_role.start.arn

  container_definitions = jsonencode([{
    name                   = "s3gate"
    image                  = var.image
    essential              = true
    user                   = "65534:65534"
    readonlyRootFilesystem = true
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
    stopTimeout            = local.drain_timeout + 20
    portMappings           = [{ containerPort = 8080 }, { containerPort = 8090 }, { containerPort = 8091 }]
    environment            = [for name, value in local.environment : { name = name, value = value }]
    secrets                = [for name, arn in local.secrets : { name = name, valueFrom = arn }]
    ulimits                = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]
    healthCheck = {
      command  = ["CMD", "/s3gate", "health"]
      interval = 10
      timeout  = 6
      retries  = 6
    }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.gates.name
        awslogs-region        = var.region
        awslogs-stream-prefix = "gate"
      }
    }
  }])
}

resource "aws_ecs_service" "gates" {
  name                               = var.name
  cluster                            = aws_ecs_cluster.gates.id
  task_definition                    = aws_ecs_task_definition.gate.arn
  launch_type                        = "FARGATE"
  desired_count                      = var.gates
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 30
  depends_on                         = [aws_lb_listener.links, aws_lb_listener.api]

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets         = var.subnet_ids
    security_groups = [aws_security_group.gate.id]
  }

  dynamic "load_balancer" {
    for_each = aws_lb_target_group.gates
    content {
      container_name   = "s3gate"
      container_port   = load_balancer.value.port
      target_group_arn = load_balancer.value.arn
    }
  }

  lifecycle {
    ignore_changes = [desired_count]
  }
}

resource "aws_appautoscaling_target" "gates" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.gates.name}/${aws_ecs_service.gates.name}"
  min_capacity       = var.gates
  max_capacity       = var.max_gates
}

resource "aws_appautoscaling_policy" "gates" {
  name               = "cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.gates.service_namespace
  scalable_dimension = aws_appautoscaling_target.gates.scalable_dimension
  resource_id        = aws_appautoscaling_target.gates.resource_id

  target_tracking_scaling_policy_configuration {
    target_value = 60
    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
