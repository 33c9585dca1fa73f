// Package s3gatetest gives tests the real things to run against: a Redis
// server, alone, with replicas, behind sentinels or as a cluster, a MinIO server,
// and the project's own S3, each started for the test that asks and stopped when
// it ends.
//
// Everything listens on the loopback interface, on a port of its own, with a
// temporary directory. Only processes started here are ever stopped, by their
// process ID; on Linux they also die with the test binary, however it ends.
// What is not installed skips the test, loudly, and fails it where CI=true.
package s3gatetest
