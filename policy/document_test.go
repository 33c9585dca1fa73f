package policy_test

import (
	"errors"
	"strings"
	"testing"

	"s3gate/policy"
)

func TestParseAccepts(t *testing.T) {
	const rest = `"Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::media/*"`
	for _, tt := range []struct{ name, doc string }{
		{"single statement", `{"Statement":{"Effect":"Allow",` + rest + `}}`},
		{"list, Id and old version", `{"Id":"x","Version":"2008-10-17","Statement":[{"Effect":"Deny",` + rest + `}]}`},
		{"white space", "{ \"Statement\" : [ { \"Effect\" : \"Deny\" ,\n" + rest + " } ] }\n"},
		{"two statements without Sid", `{"Statement":[{"Effect":"Allow",` + rest + `},{"Effect":"Deny",` + rest + `}]}`},
		{"empty Sids", `{"Statement":[{"Sid":"","Effect":"Allow",` + rest + `},{"Sid":"","Effect":"Deny",` + rest + `}]}`},
		{"escaped names", `{"\u0053tatement":[{"Effect":"\u0041llow",` + rest + `}]}`},
		{"all types of principal", one(`"Principal":{"AWS":["*","111122223333","arn:aws:iam::111122223333:root","arn:aws-cn:iam::111122223333:role/p/r","arn:aws:sts::111122223333:assumed-role/r/s"],` +
			`"Service":"logging.s3.amazonaws.com","Federated":"cognito-identity.amazonaws.com","CanonicalUser":"` + strings.Repeat("0a", 32) + `"},"Action":"*","Resource":"*"`)},
		{"upper-case service prefix", one(`"Principal":"*","Action":"S3:Get*","Resource":"*"`)},
		{"no conditions", one(rest + `,"Condition":{}`)},
		{"no keys", one(rest + `,"Condition":{"StringEquals":{}}`)},
		{"no values", one(rest + `,"Condition":{"StringEquals":{"aws:username":[]}}`)},
		{"numbers and booleans", one(rest + `,"Condition":{"NumericLessThan":{"s3:signatureAge":600000},"Bool":{"aws:SecureTransport":true}}`)},
		{"set operator with IfExists", one(rest + `,"Condition":{"ForAnyValue:StringNotLikeIfExists":{"aws:TagKeys":["a","b"]}}`)},
	} {
		t.Run(tt.name, func(t *testing.T) { parse(t, tt.doc) })
	}
}

func TestParseRefuses(t *testing.T) {
	const (
		who   = `"Principal":"*",`
		what  = `"Action":"s3:GetObject",`
		where = `"Resource":"arn:aws:s3:::media/*"`
		all   = who + what + where
	)
	for _, tt := range []struct{ name, doc, want string }{
		{"nothing", ``, "first byte"},
		{"leading space", ` {}`, "first byte"},
		{"a list", `[]`, "first byte"},
		{"not UTF-8", "{\"Id\":\"\xff\"}", "UTF-8"},
		{"cut short", `{"Statement":[`, "invalid JSON at byte 14"},
		{"trailing text", `{}{}`, "invalid JSON at byte 3"},
		{"no statement", `{"Version":"2012-10-17"}`, "Statement: missing"},
		{"empty list", `{"Statement":[]}`, "Statement: empty list"},
		{"null statement", `{"Statement":null}`, "Statement: must be"},
		{"a string among statements", `{"Statement":["x"]}`, "Statement[0]: must be an object"},
		{"unknown version", `{"Version":"2020-01-01","Statement":[]}`, `Version: "2020-01-01"`},
		{"version is a number", `{"Version":2012,"Statement":[]}`, "Version: must be a string"},
		{"unknown top element", `{"Name":"x","Statement":[]}`, "Name: unknown element"},
		{"wrong case", `{"statement":[]}`, "statement: unknown element"},
		{"top element twice", `{"Statement":[],"Statement":[]}`, "Statement: named twice"},
		{"element twice", one(`"Effect":"Deny",` + all), "Statement[0]: Effect: named twice"},
		{"unknown element", one(`"Resources":"*",` + all), "Statement[0]: Resources: unknown element"},
		{"Sid used twice", `{"Statement":[{"Sid":"a","Effect":"Deny",` + all + `},{"Sid":"a","Effect":"Deny",` + all + `}]}`, `Statement[1] (Sid "a"): Sid: used`},
		{"Sid is null", one(`"Sid":null,` + all), "Sid: must be a string"},
		{"no effect", `{"Statement":{` + all + `}}`, "Effect: missing"},
		{"effect in lower case", `{"Statement":{"Effect":"deny",` + all + `}}`, `Effect: "deny"`},
		{"no principal", one(what + where), "Principal: missing"},
		{"no action", one(who + where), "Action: missing"},
		{"no resource", one(who + `"Action":"s3:GetObject"`), "Resource: missing"},
		{"no action in list", one(who + `"Action":[],` + where), "Action: empty list"},
		{"action and its opposite", one(all + `,"NotAction":"s3:PutObject"`), "NotAction: stands beside Action"},
		{"principal and its opposite", one(all + `,"NotPrincipal":"*"`), "NotPrincipal: stands beside Principal"},
		{"allow all but one", one(`"NotPrincipal":{"AWS":"111122223333"},` + what + where), "NotPrincipal: not supported with Allow"},
		{"another service's action", one(who + `"Action":"ec2:RunInstances",` + where), `Action: "ec2:RunInstances"`},
		{"action without service", one(who + `"Action":"GetObject",` + where), `Action: "GetObject"`},
		{"action is a number", one(who + `"Action":[7],` + where), "Action: must be a string or a list of strings"},
		{"resource is no ARN", one(who + what + `"Resource":"media/*"`), `Resource: "media/*" is no ARN`},
		{"variable in the account", one(who + what + `"Resource":"arn:aws:s3::${aws:username}:media"`), "Resource: "},
		{"principal is a name", one(`"Principal":"alice",` + what + where), `Principal: "alice"`},
		{"principal is empty", one(`"Principal":{},` + what + where), "Principal: empty object"},
		{"no principal in list", one(`"Principal":{"AWS":[]},` + what + where), "Principal: AWS: empty list"},
		{"unknown type", one(`"Principal":{"aws":"*"},` + what + where), "Principal: aws: unknown type"},
		{"wildcard in a principal", one(`"Principal":{"AWS":"arn:aws:iam::111122223333:user/*"},` + what + where), "a principal cannot hold a wildcard"},
		{"short account", one(`"Principal":{"AWS":"1111"},` + what + where), `Principal: AWS: "1111"`},
		{"deleted user", one(`"Principal":{"AWS":"AIDAEXAMPLE"},` + what + where), "deleted user or role"},
		{"any service", one(`"Principal":{"Service":"*"},` + what + where), "Principal: Service:"},
		{"unknown operator", one(all + `,"Condition":{"StringEqual":{"aws:username":"x"}}`), "Condition: StringEqual: unknown operator"},
		{"unknown quantifier", one(all + `,"Condition":{"ForSome:StringEquals":{"aws:username":"x"}}`), "ForSome:StringEquals: unknown operator"},
		{"Null with IfExists", one(all + `,"Condition":{"NullIfExists":{"aws:username":"true"}}`), "NullIfExists: unknown operator"},
		{"operator twice", one(all + `,"Condition":{"Bool":{},"Bool":{}}`), "Condition: Bool: named twice"},
		{"key twice in two cases", one(all + `,"Condition":{"Bool":{"aws:a":true,"aws:A":false}}`), "Condition: Bool: aws:A: named twice"},
		{"key without service", one(all + `,"Condition":{"StringEquals":{"username":"x"}}`), `"username" is no condition key`},
		{"null value", one(all + `,"Condition":{"StringEquals":{"aws:username":null}}`), "aws:username: must be a string, a number"},
		{"nested list", one(all + `,"Condition":{"StringEquals":{"aws:username":[["x"]]}}`), "aws:username: must be a string, a number"},
		{"no number", one(all + `,"Condition":{"NumericLessThan":{"s3:max-keys":"ten"}}`), `s3:max-keys: "ten" is no number`},
		{"not a number", one(all + `,"Condition":{"NumericLessThan":{"s3:max-keys":"NaN"}}`), `"NaN" is no number`},
		{"no date", one(all + `,"Condition":{"DateLessThan":{"aws:CurrentTime":"tomorrow"}}`), `"tomorrow" is no date`},
		{"no boolean", one(all + `,"Condition":{"Bool":{"aws:SecureTransport":"no"}}`), `"no" is neither true nor false`},
		{"variable in Null", one(all + `,"Condition":{"Null":{"aws:username":"${aws:userid}"}}`), "is neither true nor false"},
		{"no range", one(all + `,"Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}`), `"10.0.0.0/33" is no range`},
		{"IPv4 in IPv6", one(all + `,"Condition":{"IpAddress":{"aws:SourceIp":"::ffff:10.0.0.0/104"}}`), "is no range"},
		{"no ARN", one(all + `,"Condition":{"ArnLike":{"aws:PrincipalArn":"alice"}}`), `"alice" is no ARN`},
		{"not base64", one(all + `,"Condition":{"BinaryEquals":{"s3:x":"%"}}`), `"%" is not base64`},
		{"open variable", one(who + what + `"Resource":"arn:aws:s3:::media/${aws:username/*"`), "without a closing brace"},
		{"empty variable", one(who + what + `"Resource":"arn:aws:s3:::media/${}"`), "without a valid name"},
		{"space in variable", one(who + what + `"Resource":"arn:aws:s3:::media/${aws: username}"`), "without a valid name"},
		{"default without quotes", one(who + what + `"Resource":"arn:aws:s3:::media/${aws:username, x}"`), "default value"},
		{"default without end", one(who + what + `"Resource":"arn:aws:s3:::media/${aws:username, 'x}"`), "default value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := policy.Parse([]byte(tt.doc))
			if !errors.Is(err, policy.ErrMalformed) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse(%s)\n got %v\nwant ErrMalformed with %q", tt.doc, err, tt.want)
			}
		})
	}
}

func TestParseLimitsSize(t *testing.T) {
	doc := one(`"Principal":"*","Action":"s3:GetObject","Resource":"*"`)
	full := doc + strings.Repeat(" ", policy.MaxSize-len(doc))
	parse(t, full)
	if _, err := policy.Parse([]byte(full + " ")); !errors.Is(err, policy.ErrTooLarge) || !strings.Contains(err.Error(), "20481 bytes") {
		t.Errorf("one byte over the limit: %v", err)
	}
}

func TestCheckBucket(t *testing.T) {
	for _, tt := range []struct {
		resource string
		want     bool
	}{
		{"arn:aws:s3:::media", true},
		{"arn:aws:s3:::media/*", true},
		{"arn:aws:s3:::media*", true},
		{"arn:aws-cn:s3:::media/${aws:username}/*", true},
		{"*", false},
		{"arn:aws:s3:::*", false},
		{"arn:aws:s3:::media2/*", false},
		{"arn:aws:s3:::medi?", false},
		{"arn:aws:s3:::other/media", false},
		{"arn:aws:s3:::${aws:username}/*", false},
		{"arn:aws:s3::111122223333:media", false},
		{"arn:aws:sqs:::media", false},
	} {
		t.Run(tt.resource, func(t *testing.T) {
			for _, element := range []string{"Resource", "NotResource"} {
				d := parse(t, one(`"Sid":"s","Principal":"*","Action":"s3:*","`+element+`":["arn:aws:s3:::media","`+tt.resource+`"]`))
				err := d.CheckBucket("media")
				if (err == nil) != tt.want {
					t.Errorf("%s: %v, want accepted %v", element, err, tt.want)
				}
				if err != nil && (!errors.Is(err, policy.ErrMalformed) || !strings.Contains(err.Error(), `Statement[0] (Sid "s"): `+element+`: "`+tt.resource)) {
					t.Errorf("%s: error does not name the place: %v", element, err)
				}
			}
		})
	}
}

func TestBucketOfADocument(t *testing.T) {
	for _, tt := range []struct {
		resources, partition, name string
	}{
		{`"arn:aws:s3:::media"`, "aws", "media"},
		{`["arn:aws-cn:s3:::media/*","arn:aws-cn:s3:::media"]`, "aws-cn", "media"},
		{`["arn:aws:s3:::media/*","arn:aws:s3:::other"]`, "", ""},
		{`["arn:aws:s3:::media/*","arn:aws-cn:s3:::media"]`, "", ""},
		{`["arn:aws:s3:::media*"]`, "", ""},
		{`"*"`, "", ""},
		{`"arn:aws:sqs:::media"`, "", ""},
		{`"arn:aws:s3:::${aws:username}/x"`, "", ""},
	} {
		for _, element := range []string{"Resource", "NotResource"} {
			d := parse(t, one(`"Principal":"*","Action":"s3:*","`+element+`":`+tt.resources))
			if partition, name, ok := d.Bucket(); partition != tt.partition || name != tt.name || ok != (name != "") {
				t.Errorf("%s: %q %q %v", tt.resources, partition, name, ok)
			}
		}
	}
	var d *policy.Document
	if _, _, ok := d.Bucket(); ok {
		t.Error("no policy is about a bucket")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(one(`"NotPrincipal":{"AWS":["111122223333"]},"NotAction":"s3:Get*","NotResource":"arn:aws:s3:::b/${aws:username, 'x'}"`)))
	f.Add([]byte(`{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Condition":{"ForAllValues:NotIpAddressIfExists":{"aws:SourceIp":["::1","10.0.0.0/8"]}}}}`))
	f.Add([]byte(`{"Id":"\ud800","Version":"2008-10-17","Statement":[]}`))
	f.Add([]byte(`{"Statement":[{"Sid":"S3GateX"},[]]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		d, err := policy.Parse(doc)
		if (err == nil) == (d == nil) || err != nil && !errors.Is(err, policy.ErrMalformed) {
			t.Fatalf("Parse(%q) = %v, %v", doc, d, err)
		}
		_ = d.CheckBucket("media")
		d.Evaluate(get(alice, object))
		locked, err := policy.LockStatements(policy.LockOptions{Bucket: "media"})
		if err != nil {
			t.Fatal(err)
		}
		merged, err := policy.Merge(doc, locked)
		if err != nil {
			if d != nil && !errors.Is(err, policy.ErrTooLarge) {
				t.Fatalf("Merge refuses what Parse accepts: %v", err)
			}
			return
		}
		policy.Diff(doc, merged)
		if d == nil {
			return
		}
		if _, err := policy.Parse(merged); err != nil {
			t.Fatalf("merged policy: %v\n%s", err, merged)
		}
	})
}
