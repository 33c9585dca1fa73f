package config_test

import (
	"strings"
	"testing"
)

func TestWrongSettingsOfWhatIsObserved(t *testing.T) {
	for settings, want := range map[string]string{
		"access_log: {refusals: -1}\n":     "access_log.refusals: must be 0 to 1000000, got -1",
		"access_log: {max_agent: 5000}\n":  "access_log.max_agent: must be 0 to 4096, got 5000",
		"access_log: {queue: 0}\n":         "access_log.queue: must be 1 to 10000000, got 0",
		"access_log: {files: x}\n":         "access_log.files: is not a setting; did you mean access_log.file?",
		"ops: {profile_limit: 1h}\n":       "ops.profile_limit: must be 1s to 10m0s, got 1h0m0s",
		"ops: {block_profile_rate: -1}\n":  "ops.block_profile_rate: must not be less than 0, got -1",
		"ops: {mutex_profile_fraction: x}": `ops.mutex_profile_fraction: must be a whole number, got "x"`,
	} {
		_, err := loadText(t, minimal+settings)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", settings, err, want)
		}
	}
}

func TestAccessLogSettings(t *testing.T) {
	c, err := loadText(t, minimal+"access_log: {file: /var/log/s3gate/access.log, refusals: 0}\n")
	if err != nil {
		t.Fatal(err)
	}
	if a := c.AccessLog; a.File != "/var/log/s3gate/access.log" || a.Refusals != 0 || a.MaxAgent != 200 || a.Queue != 10_000 {
		t.Errorf("%+v", a)
	}
}
