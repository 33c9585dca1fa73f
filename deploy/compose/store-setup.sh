#!/bin/sh
# Runs in the container store-setup, each time that the others start.
set -eu
mc alias set store http://store:9000 root "$(cat /run/secrets/store_root)" >/dev/null
mc mb --ignore-existing --with-versioning store/docs
mc admin user add store s3gate "$(cat /run/secrets/store_key)"
mc admin policy create store s3gate-docs /policy.json
mc admin policy create store s3gate-lock-docs /lock.json
# To attach what is attached is an error.
case "$(mc admin user info store s3gate --json)" in
*s3gate-lock-docs*) ;;
*) mc admin policy attach store s3gate-docs s3gate-lock-docs --user s3gate ;;
esac
