package deploy_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Every file is Terraform, is formatted, and refers to what is declared. What AWS and its
// provider say to it only they can tell.
func TestTerraform(t *testing.T) {
	if err := said(tool(t, "terraform", abs(t, "terraform"))); err != nil {
		t.Error(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"unknown":     "output \"x\" {\n  value = var.nothing\n}\n",
		"unformatted": "output \"x\" {\n value = 1\n}\n",
		"broken":      "output \"x\" {\n",
	} {
		write(t, filepath.Join(dir, name, "main.tf"), text)
		if said(tool(t, "terraform", filepath.Join(dir, name))) == nil {
			t.Errorf("%s: nothing is found wrong with\n%s", name, text)
		}
	}
}

// The lock of the bucket and the rights of the role are those that the binary prints.
func TestTerraformPolicies(t *testing.T) {
	program(t, "make", "apt-get install make")
	const arn = "arn:aws:s3:::BUCKET"
	lock := output(t, exec.Command(s3gate(t), "bucket", "lock", "BUCKET", "--print", "terraform"))
	lock = strings.ReplaceAll(lock, `"`+arn+`"`, "aws_s3_bucket.files.arn")
	lock = strings.ReplaceAll(lock, `"`+arn+`/`, `"${aws_s3_bucket.files.arn}/`)
	lock = strings.ReplaceAll(lock, `"BUCKET"`, "aws_s3_bucket.files.id")
	same(t, filepath.Join("terraform", "lock.tf"), lock)
	role := output(t, exec.Command(s3gate(t), "bucket", "iam", "BUCKET"))
	same(t, filepath.Join("terraform", "role-policy.json.tftpl"), strings.ReplaceAll(role, arn, "${bucket}"))
}

// The gates' environment has settings that exist, and they go together. What only AWS
// knows is something of its kind.
func TestTerraformSettings(t *testing.T) {
	program(t, "make", "apt-get install make")
	gate := read(t, "terraform", "gate.tf")
	like := strings.NewReplacer(
		"${var.domain}", "files.example.com",
		"data.aws_vpc.here.cidr_block", "10.0.0.0/16",
		"${aws_elasticache_replication_group.redis.primary_endpoint_address}", "redis.example.com",
		"tostring(var.redis_replicas)", "1",
		"${local.stall_timeout}", find(t, gate, `stall_timeout = (\d+)`),
		"${local.gate_idle_timeout}", "180",
		"${local.drain_timeout}", find(t, gate, `drain_timeout = (\d+)`),
		"aws_s3_bucket.files.id", "acme-docs",
		"var.region", "eu-central-1",
		"aws_iam_role.gate.arn", "arn:aws:iam::123456789012:role/s3gate",
		"var.jwt_key_secret_arn", strings.Repeat("k", 32),
		"var.mint_secret_arn", strings.Repeat("m", 32),
		"var.redis_password_secret_arn", "password",
		"var.origin_secret_arn", strings.Repeat("o", 32),
		"var.origin_other_secret_arn", strings.Repeat("p", 32),
	)
	var env []string
	for _, m := range regexp.MustCompile(`(?m)^ +(S3GATE_\w+) += (.*)$`).FindAllStringSubmatch(gate, -1) {
		env = append(env, m[1]+"="+like.Replace(strings.Trim(m[2], `"`)))
	}
	if len(env) < 15 {
		t.Fatalf("only %d settings were found", len(env))
	}
	configCheck(t, "", env...)
}

// A transfer that stalls is cut by the gate, and not by what stands in front of it.
func TestTerraformIsPatient(t *testing.T) {
	gate := read(t, "terraform", "gate.tf")
	stall, _ := strconv.Atoi(find(t, gate, `stall_timeout = (\d+)`))
	patience, _ := strconv.Atoi(find(t, gate, `read_timeout  = (\d+)`))
	if stall == 0 || patience <= stall {
		t.Errorf("CloudFront waits for %d s, a gate for %d s", patience, stall)
	}
	find(t, read(t, "terraform", "cloudfront.tf"), `origin_read_timeout      = local\.(read_timeout)`)
	find(t, read(t, "terraform", "network.tf"), `idle_timeout               = local\.(idle_timeout)`)
	find(t, gate, `idle_timeout      = local\.(read_timeout) \+ 60`)
	find(t, gate, `gate_idle_timeout = local\.(idle_timeout) \+ 60`)
}

// Links are in paths, so nothing in front of the gate may log them or keep what they open.
func TestTerraformKeepsLinksToItself(t *testing.T) {
	front := read(t, "terraform", "cloudfront.tf") + read(t, "terraform", "network.tf")
	for _, bad := range []string{"access_logs", "logging_config", "ordered_cache_behavior", "allow-all"} {
		if strings.Contains(front, bad) {
			t.Errorf("%s would", bad)
		}
	}
	find(t, front, `(name = "Managed-CachingDisabled")`)
	find(t, front, `error_caching_min_ttl = (0)\n`)
}

// Nobody gets past CloudFront, which tells the gates who its viewers are.
func TestTerraformKnowsItsOrigin(t *testing.T) {
	front, gate := read(t, "terraform", "cloudfront.tf"), read(t, "terraform", "gate.tf")
	header := find(t, gate, `S3GATE_CLIENT_HEADER += "(.+)"`)
	if sent := find(t, front, `header_behavior = "allViewerAndWhitelistCloudFront"\s+headers {\s+items = \["(.+)"\]`); sent != header {
		t.Errorf("CloudFront sends %s, and the gates read %s", sent, header)
	}
	find(t, front, `origin_request_policy_id = (aws_cloudfront_origin_request_policy\.links)\.id`)
	if name := find(t, front, `custom_header {\s+name  = "(.+)"\s+value = data\.aws_secretsmanager_secret_version\.origin\.secret_string`); name != "X-Origin-Secret" {
		t.Errorf("the secret is in %s, and origin.header is X-Origin-Secret", name)
	}
	find(t, front, `secret_id = (var\.origin_secret_arn)`)
	find(t, gate, `S3GATE_ORIGIN_SECRET += (var\.origin_secret_arn)`)
}

// Prometheus reaches the metrics of a gate where the alerts expect them, once somebody has
// said who it is, and the balancer does not.
func TestTerraformMetrics(t *testing.T) {
	gate, network := read(t, "terraform", "gate.tf"), read(t, "terraform", "network.tf")
	port := find(t, gate, `S3GATE_OPS_ADDR += ":(\d+)"`)
	find(t, gate, `(containerPort = `+port+`)`)
	find(t, network, `(?s)"metrics" {\s+for_each += (var\.metrics_clients)\s+security_group_id += aws_security_group\.gate\.id[^}]*from_port += `+port+`\s+to_port += `+port+`\n`)
	find(t, read(t, "terraform", "variables.tf"), `variable "metrics_clients" {[^}]*default     = (\[\])`)
	for _, m := range regexp.MustCompile(`(?s)"(\w+)" {([^}]*)}`).FindAllStringSubmatch(network, -1) {
		to := regexp.MustCompile(`to_port += (\d+)`).FindStringSubmatch(m[2])
		from := regexp.MustCompile(`from_port += (\d+)`).FindStringSubmatch(m[2])
		if m[1] != "metrics" && to != nil && from != nil && from[1] <= port && port <= to[1] && len(from[1]) == len(port) {
			t.Errorf("%s opens the port of the metrics", m[1])
		}
	}
}

// Somebody's variables are the gates', but the settings here are not to be changed by them.
func TestTerraformEnvironment(t *testing.T) {
	gate := read(t, "terraform", "gate.tf")
	find(t, gate, `environment = merge\({ GOMEMLIMIT = [^}]*}MiB" }, (var\.environment), local\.settings\)`)
	find(t, gate, `environment            = \[for name, value in (local\.environment) :`)
}
