package devs3

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// postPolicy is what a signed form is allowed to be ("POST policy", Amazon S3
// API Reference).
type postPolicy struct {
	Expiration time.Time `json:"expiration"`
	Conditions []any     `json:"conditions"`
}

// obeyPolicy decides whether the form is one that its policy describes, and
// takes the bounds of the file's size from it.
func (f *form) obeyPolicy(bucket string, now time.Time) error {
	text, err := base64.StdEncoding.DecodeString(f.get("policy"))
	if err != nil {
		return invalidPolicy("it is not base64")
	}
	var p postPolicy
	if err := json.Unmarshal(text, &p); err != nil {
		return invalidPolicy("it is not JSON")
	}
	if p.Expiration.IsZero() || p.Conditions == nil {
		return invalidPolicy("it lacks expiration or conditions")
	}
	if now.After(p.Expiration) {
		return violates("Policy expired.")
	}
	covered := map[string]bool{}
	for _, c := range p.Conditions {
		if err := f.obey(c, bucket, covered); err != nil {
			return err
		}
	}
	for name := range f.fields {
		if !covered[name] && !exempt(name) {
			return violates("Extra input fields: " + name)
		}
	}
	return nil
}

// exempt fields need no condition.
func exempt(name string) bool {
	return name == "policy" || name == "x-amz-signature" || strings.HasPrefix(name, "x-ignore-")
}

// obey checks one condition: {"field": "value"} or [operator, a, b].
func (f *form) obey(condition any, bucket string, covered map[string]bool) error {
	switch c := condition.(type) {
	case map[string]any:
		for name, value := range c {
			if err := f.compare("eq", name, value, bucket, covered); err != nil {
				return err
			}
		}
		return nil
	case []any:
		if len(c) != 3 {
			break
		}
		operator, _ := c[0].(string)
		if strings.EqualFold(operator, "content-length-range") {
			return f.bound(c[1], c[2])
		}
		name, _ := c[1].(string)
		if field, ok := strings.CutPrefix(name, "$"); ok {
			return f.compare(strings.ToLower(operator), field, c[2], bucket, covered)
		}
	}
	return invalidPolicy("it has a condition of an unknown form")
}

func (f *form) compare(operator, name string, value any, bucket string, covered map[string]bool) error {
	want, ok := value.(string)
	if !ok {
		return invalidPolicy("a condition compares with something other than a string")
	}
	name = strings.ToLower(name)
	covered[name] = true
	got := f.get(name)
	if name == "bucket" {
		got = bucket
	}
	switch operator {
	case "eq":
		ok = got == want
	case "starts-with":
		ok = strings.HasPrefix(got, want)
	default:
		return invalidPolicy("it has an unknown operator")
	}
	if !ok {
		return violates(fmt.Sprintf("Policy Condition failed: [%q, \"$%s\", %q]", operator, name, want))
	}
	return nil
}

func (f *form) bound(low, high any) error {
	least, ok := wholeNumber(low)
	most, ok2 := wholeNumber(high)
	if !ok || !ok2 || least > most {
		return invalidPolicy("content-length-range is not a range")
	}
	f.size = sizeRange{least, min(most, maxSingle)}
	return nil
}

// wholeNumber reads a number, which some clients write as a string.
func wholeNumber(v any) (int64, bool) {
	text := fmt.Sprint(v)
	if n, ok := v.(float64); ok {
		text = strconv.FormatFloat(n, 'f', -1, 64)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0
}

func invalidPolicy(why string) error {
	return &apiError{code: "InvalidPolicyDocument", message: "Invalid Policy: " + why}
}

func violates(why string) error {
	return &apiError{code: errAccessDenied.code, message: "Invalid according to Policy: " + why}
}
