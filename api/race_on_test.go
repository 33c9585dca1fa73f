//go:build race

package api_test

// raceDetector says that everything takes several times as long.
const raceDetector = true
