#!/usr/bin/env bash
# What fresh.sh runs on the fresh machine, as root: what the pages say, in their words.
set -euo pipefail
cd /root/s3gate
systemctl disable --quiet --now s3gate nginx 2>/dev/null || true # of an earlier time

# typed prints the commands in a section of a page.
typed() {
  awk -v heading="$2" '/^```/ {on = !on && mine && /^```sh/; next} /^#/ && !on {mine = $0 == heading} on' "$1"
}

# await waits for something, for a minute at most.
await() {
  for _ in $(seq 300); do if "$@" >/dev/null 2>&1; then return; fi; sleep 0.2; done
  echo "this never came to be: $*" >&2
  exit 1
}

echo "== README: go run ./cmd/s3gate dev"
go run ./cmd/s3gate dev --ready-file /root/dev.json >/root/dev.log &
dev=$!
until [ -e /root/dev.json ]; do kill -0 "$dev"; sleep 0.5; done
of() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" /root/dev.json; }
head -20 /root/dev.log
make build
export S3GATE_API_URL=$(of api_url) S3GATE_API_TOKEN=$(of api_token)
./s3gate get "$(./s3gate token mint get demo/hello.txt --once)" --output - | grep Hello
unset S3GATE_API_URL S3GATE_API_TOKEN
kill "$(pidof s3gate)"
wait "$dev" || true # go run

if [ -n "${MAKE_TEST:-}" ]; then
  echo "== README: make test"
  make test
fi

echo "== a Redis, and a certificate"
apt-get update -q >/dev/null
DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends redis-server openssl curl >/dev/null 2>&1
sed -i 's/^appendonly no/appendonly yes/; s/^# *maxmemory-policy .*/maxmemory-policy noeviction/; s/^appendfsync .*/appendfsync always/' /etc/redis/redis.conf
systemctl restart redis-server
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=files.example.com -addext subjectAltName=DNS:files.example.com -keyout tls.key -out tls.crt 2>/dev/null

echo "== docs/deploy.md: systemd"
# The bucket is that of another dev, at ports that nobody else wants.
rm -f /root/dev.json
./s3gate dev --public-addr 127.0.0.1:0 --api-addr 127.0.0.1:0 --s3-addr 127.0.0.1:0 --ready-file /root/dev.json >/root/dev.log &
dev=$!
until [ -e /root/dev.json ]; do kill -0 "$dev"; sleep 0.5; done
cat >/root/settings.sh <<EOF
{
  sed '/^buckets:/,\$d' deploy/systemd/s3gate.yaml
  echo 'buckets: {docs: {name: demo, endpoint: "$(of s3_endpoint)", region: us-east-1, path_style: true, access_key_id: "$(of s3_access_key)", secret_access_key: "$(of s3_secret_key)"}}'
} >/etc/s3gate/s3gate.yaml
EOF
typed docs/deploy.md '## systemd' | sed '/^systemctl enable/i . /root/settings.sh' >/root/systemd.sh
grep -q '^systemctl enable' /root/systemd.sh
bash -euxo pipefail /root/systemd.sh
await curl --fail --silent http://127.0.0.1:8090/readyz
systemctl --no-pager status s3gate | head -5
systemd-analyze security s3gate --no-pager | tail -1

export S3GATE_API_URL=http://127.0.0.1:8090 S3GATE_API_TOKEN=$(s3gate auth token --key-file /etc/s3gate/jwt.key)
link=$(s3gate token mint get docs/hello.txt)
fetch() { curl --fail --silent --show-error --cacert tls.crt --connect-to files.example.com:443:127.0.0.1:8443 "$link" | grep Hello; }
fetch
systemctl reload s3gate
systemctl restart s3gate
await curl --fail --silent http://127.0.0.1:8090/readyz
fetch
if journalctl --no-pager -u s3gate | grep s3g_; then echo "a token is in the journal" >&2; exit 1; fi

echo "== docs/fronts.md: nginx"
DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends nginx >/dev/null 2>&1
rm -f /etc/nginx/sites-enabled/default /etc/nginx/conf.d/s3gate.conf
systemctl restart nginx
# One machine has it all: nginx has the ports of the edge, and the gate those behind it.
sed -i '/^links:/d; /^public_url:/d' /etc/s3gate/s3gate.yaml
awk -v heading='## nginx' '/^```/ {on = !on && mine && /^```yaml/; next} /^#/ && !on {mine = $0 == heading} on' docs/fronts.md |
  sed 's/10\.0\.0\.5/127.0.0.1/; s/":8080"/"127.0.0.1:8080"/; s/":8090"/"127.0.0.1:8090"/' >>/etc/s3gate/s3gate.yaml
typed docs/fronts.md '## nginx' | sed '/^sed /c sed -i "s/10\\.0\\.0\\.1[12]/127.0.0.1/; s/allow 10.*/allow 127.0.0.1;/" /etc/nginx/conf.d/s3gate.conf' >/root/nginx.sh
systemctl restart s3gate # the link listener moves
await curl --fail --silent http://127.0.0.1:8090/readyz
bash -euxo pipefail /root/nginx.sh
link=$(s3gate token mint get docs/hello.txt --once)
front() { curl --fail --silent --show-error --cacert tls.crt --connect-to files.example.com:443:127.0.0.1:443 "$@"; }
await front --output /dev/null "$(s3gate token mint get docs/hello.txt)"
front "$link" | grep Hello
if front "$link" 2>/dev/null; then echo "a link for one use worked twice" >&2; exit 1; fi
head -c 20000000 /dev/urandom >body
front --upload-file body "$(s3gate token mint put docs/body)"
front "$(s3gate token mint get docs/body)" | cmp - body
curl --fail --silent --cacert tls.crt --connect-to api.files.example.com:8443:127.0.0.1:8443 --insecure https://api.files.example.com:8443/readyz
if grep -r s3g_ /var/log; then echo "a token is in a log" >&2; exit 1; fi

systemctl stop nginx s3gate
kill "$(pidof s3gate)"
echo "== all of it works as written"
