# Links, for everybody. CloudFront caches nothing: every answer is for one use. It keeps
# no access log either: the paths in it would be links that still work.
#
# One request carries at most so much as CloudFront takes, of which its quotas have said
# 20 GB for PUT and POST: larger uploads go by several requests (tus, the page).

data "aws_cloudfront_cache_policy" "disabled" {
  name = "Managed-CachingDisabled"
}

# Everything that the viewer sends, and its address as CloudFront has seen it, which is
# what client_header names.
resource "aws_cloudfront_origin_request_policy" "links" {
  name = "${var.name}-links"

  headers_config {
    header_behavior = "allViewerAndWhitelistCloudFront"

    headers {
      items = ["CloudFront-Viewer-Address"]
    }
  }

  cookies_config {
    cookie_behavior = "all"
  }

  query_strings_config {
    query_string_behavior = "all"
  }
}

data "aws_secretsmanager_secret_version" "origin" {
  secret_id = var.origin_secret_arn
}

resource "aws_cloudfront_vpc_origin" "gates" {
  vpc_origin_endpoint_config {
    name                   = var.name
    arn                    = aws_lb.gates.arn
    http_port              = 80
    https_port             = 443
    origin_protocol_policy = "http-only"

    origin_ssl_protocols {
      items    = ["TLSv1.2"]
      quantity = 1
    }
  }
}

resource "aws_cloudfront_distribution" "links" {
  enabled         = true
  comment         = "Links of ${var.name}"
  aliases         = [var.domain]
  http_version    = "http2and3"
  is_ipv6_enabled = true

  origin {
    origin_id   = "gates"
    domain_name = aws_lb.gates.dns_name

    # The gates take requests only with it. It replaces what a viewer sends.
    custom_header {
      name  = "X-Origin-Secret"
      value = data.aws_secretsmanager_secret_version.origin.secret_string
    }

    vpc_origin_config {
      vpc_origin_id            = aws_cloudfront_vpc_origin.gates.id
      origin_read_timeout      = local.read_timeout
      origin_keepalive_timeout = 60
    }
  }

  default_cache_behavior {
    target_origin_id         = "gates"
    viewer_protocol_policy   = "https-only"
    allowed_methods          = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    cached_methods           = ["GET", "HEAD"]
    cache_policy_id          = data.aws_cloudfront_cache_policy.disabled.id
    origin_request_policy_id = aws_cloudfront_origin_request_policy.links.id
    compress                 = false
  }

  # Ten seconds, without this: a link that is ready again would seem not to be.
  dynamic "custom_error_response" {
    for_each = toset([400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504])
    content {
      error_code            = custom_error_response.value
      error_caching_min_ttl = 0
    }
  }

  viewer_certificate {
    acm_certificate_arn      = var.certificate_arn
    ssl_support_method       = "sni-only"
    minimum_protocol_version = "TLSv1.2_2021"
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }
}
