package policy

import "strings"

// Request is the authorization context of one action on one resource. An operation that needs several
// permissions, such as a copy, is several requests.
type Request struct {
	Action    string    // such as "s3:GetObject"
	Resource  string    // such as "arn:aws:s3:::bucket/key"
	Principal Principal // who asks; zero is anonymous
	Context   Context   // condition keys; nil has none
}

// Context holds the condition keys of a request and their values ("Condition keys for Amazon S3", Service
// Authorization Reference; "AWS global condition context keys", IAM User Guide). Keys are lower case, as
// [Context.Set] writes them; a key that is absent, or has no values, is one the request does not carry.
// aws:PrincipalArn, aws:username, aws:userid, aws:PrincipalAccount, aws:PrincipalType, aws:PrincipalIsAWSService
// and aws:PrincipalServiceName need not be set: they are taken from the request's principal.
type Context map[string][]string

// Set gives a key its values, replacing those it had. No values drops the key; the empty string is a value.
func (c Context) Set(key string, values ...string) {
	key = strings.ToLower(key)
	if len(values) == 0 {
		delete(c, key)
		return
	}
	c[key] = values
}

// values looks key, in lower case, up. A key somebody wrote into the map by hand is found in any case:
// missing it would let a deny statement slip.
func (c Context) values(key string) []string {
	if v, ok := c[key]; ok {
		return v
	}
	for k, v := range c {
		if strings.EqualFold(k, key) {
			return v
		}
	}
	return nil
}

// facts is what one evaluation may ask about its request.
type facts struct {
	Request
	derived [4][1]string // backs the values taken from the principal
}

// The keys that Evaluate fills; the first four in the order of facts.derived.
const (
	keyPrincipalARN     = "aws:principalarn"
	keyUserName         = "aws:username"
	keyUserID           = "aws:userid"
	keyPrincipalAccount = "aws:principalaccount"
	keyPrincipalType    = "aws:principaltype"
	keyIsService        = "aws:principalisawsservice"
	keyServiceName      = "aws:principalservicename"
)

// values returns the values of a condition key in lower case; nil when the request does not carry it.
func (f *facts) values(key string) []string {
	if v := f.Context.values(key); len(v) > 0 {
		return v
	}
	var slot int
	var text string
	switch key {
	case keyPrincipalARN:
		slot, text = 0, f.Principal.arn()
	case keyUserName:
		slot, text = 1, f.Principal.UserName
	case keyUserID:
		slot, text = 2, f.Principal.UserID
	case keyPrincipalAccount:
		slot, text = 3, f.Principal.accountKey()
	case keyPrincipalType:
		return oneOrNone(f.Principal.kind())
	case keyIsService:
		return oneOrNone(f.Principal.isService())
	case keyServiceName:
		return oneOrNone(f.Principal.Service)
	}
	if text == "" {
		return nil
	}
	f.derived[slot][0] = text
	return f.derived[slot][:]
}

func oneOrNone(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}
