package events

import (
	"encoding/base64"
	"strings"
)

// secretBytes reads the text of a webhook's secret.
func secretBytes(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, "whsec_")
	if !ok {
		return nil, errSecret
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errSecret
	}
	return key, nil
}
