package policy_test

import (
	"testing"

	"s3gate/policy"
)

func TestCondition(t *testing.T) {
	none := policy.Context{}
	val := func(values ...string) policy.Context { return policy.Context{"s3:k": values} }
	for _, tt := range []struct {
		name, condition string
		context         policy.Context
		want            bool
	}{
		{"equal", `"StringEquals":{"s3:k":"a"}`, val("a"), true},
		{"other case", `"StringEquals":{"s3:k":"a"}`, val("A"), false},
		{"no wildcards in equality", `"StringEquals":{"s3:k":"a*"}`, val("ab"), false},
		{"literal star", `"StringEquals":{"s3:k":"a*"}`, val("a*"), true},
		{"one of many", `"StringEquals":{"s3:k":["x","a"]}`, val("a"), true},
		{"no values", `"StringEquals":{"s3:k":[]}`, val("a"), false},
		{"key in any case", `"StringEquals":{"S3:K":"a"}`, val("a"), true},
		{"context key in any case", `"StringEquals":{"s3:k":"a"}`, policy.Context{"S3:K": {"a"}}, true},
		{"ignoring case", `"StringEqualsIgnoreCase":{"s3:k":"éa"}`, val("ÉA"), true},
		{"not ignoring case", `"StringNotEqualsIgnoreCase":{"s3:k":"a"}`, val("A"), false},
		{"like", `"StringLike":{"s3:k":"a*c?"}`, val("abbbcd"), true},
		{"like keeps case", `"StringLike":{"s3:k":"a*"}`, val("AB"), false},
		{"not like", `"StringNotLike":{"s3:k":"a*"}`, val("ab"), false},
		{"not like, other", `"StringNotLike":{"s3:k":"a*"}`, val("b"), true},
		{"empty string is a value", `"StringEquals":{"s3:k":""}`, val(""), true},

		{"absent, positive", `"StringEquals":{"s3:k":"a"}`, none, false},
		{"absent, like anything", `"StringLike":{"s3:k":"*"}`, none, false},
		{"absent, negated", `"StringNotEquals":{"s3:k":"a"}`, none, true},
		{"absent, not like anything", `"StringNotLike":{"s3:k":"*"}`, none, true},
		{"absent, number", `"NumericLessThan":{"s3:k":1}`, none, false},
		{"absent, not number", `"NumericNotEquals":{"s3:k":1}`, none, true},
		{"absent, address", `"IpAddress":{"s3:k":"0.0.0.0/0"}`, none, false},
		{"absent, not address", `"NotIpAddress":{"s3:k":"0.0.0.0/0"}`, none, true},
		{"absent, bool", `"Bool":{"s3:k":"false"}`, none, false},
		{"absent, if exists", `"StringEqualsIfExists":{"s3:k":"a"}`, none, true},
		{"absent, negated if exists", `"StringNotEqualsIfExists":{"s3:k":"a"}`, none, true},
		{"present, if exists", `"StringEqualsIfExists":{"s3:k":"a"}`, val("b"), false},
		{"bool if exists", `"BoolIfExists":{"s3:k":true}`, val("false"), false},

		{"negated list, none", `"StringNotEquals":{"s3:k":["a","b"]}`, val("c"), true},
		{"negated list, one", `"StringNotEquals":{"s3:k":["a","b"]}`, val("b"), false},
		{"negated no values", `"StringNotEquals":{"s3:k":[]}`, val("b"), true},
		{"two keys, both", `"StringEquals":{"s3:k":"a","s3:j":"b"}`, policy.Context{"s3:k": {"a"}, "s3:j": {"b"}}, true},
		{"two keys, one", `"StringEquals":{"s3:k":"a","s3:j":"b"}`, val("a"), false},
		{"two operators, one", `"StringEquals":{"s3:k":"a"},"StringLike":{"s3:k":"b*"}`, val("a"), false},

		{"null, absent", `"Null":{"s3:k":"true"}`, none, true},
		{"null, present", `"Null":{"s3:k":true}`, val("a"), false},
		{"not null, present", `"Null":{"s3:k":"false"}`, val("a"), true},
		{"not null, absent", `"Null":{"s3:k":"False"}`, none, false},
		{"null or not", `"Null":{"s3:k":["true","false"]}`, none, true},

		{"many values, positive is any", `"StringEquals":{"s3:k":"a"}`, val("x", "a"), true},
		{"many values, negated is all", `"StringNotEquals":{"s3:k":"a"}`, val("x", "a"), false},
		{"any", `"ForAnyValue:StringEquals":{"s3:k":["a","b"]}`, val("x", "b"), true},
		{"any, none", `"ForAnyValue:StringEquals":{"s3:k":["a","b"]}`, val("x", "y"), false},
		{"any, absent", `"ForAnyValue:StringLike":{"s3:k":"*"}`, none, false},
		{"any, empty", `"ForAnyValue:StringLike":{"s3:k":"*"}`, val(""), false},
		{"any negated", `"ForAnyValue:StringNotEquals":{"s3:k":"a"}`, val("a", "x"), true},
		{"any negated, none", `"ForAnyValue:StringNotEquals":{"s3:k":["a","x"]}`, val("a", "x"), false},
		{"any negated, absent", `"ForAnyValue:StringNotEquals":{"s3:k":"a"}`, none, false},
		{"any if exists, absent", `"ForAnyValue:StringEqualsIfExists":{"s3:k":"a"}`, none, true},
		{"all", `"ForAllValues:StringEquals":{"s3:k":["a","b"]}`, val("b", "a"), true},
		{"all but one", `"ForAllValues:StringEquals":{"s3:k":["a","b"]}`, val("b", "x"), false},
		{"all, absent", `"ForAllValues:StringEquals":{"s3:k":"a"}`, none, true},
		{"all, empty", `"ForAllValues:StringEquals":{"s3:k":"a"}`, val(""), true},
		{"all negated", `"ForAllValues:StringNotLike":{"s3:k":"a*"}`, val("x", "y"), true},
		{"all negated but one", `"ForAllValues:StringNotLike":{"s3:k":"a*"}`, val("x", "ab"), false},

		{"numbers are compared as such", `"NumericEquals":{"s3:k":"1.0"}`, val("1"), true},
		{"number list", `"NumericEquals":{"s3:k":[1,2]}`, val("2"), true},
		{"less", `"NumericLessThan":{"s3:k":10}`, val("9.5"), true},
		{"not less", `"NumericLessThan":{"s3:k":10}`, val("10"), false},
		{"at most", `"NumericLessThanEquals":{"s3:k":10}`, val("10"), true},
		{"more", `"NumericGreaterThan":{"s3:k":"600000"}`, val("600001"), true},
		{"not more", `"NumericGreaterThan":{"s3:k":"600000"}`, val("600000"), false},
		{"at least", `"NumericGreaterThanEquals":{"s3:k":1e1}`, val("10"), true},
		{"number expected, text", `"NumericGreaterThan":{"s3:k":0}`, val("many"), false},
		{"another number, text", `"NumericNotEquals":{"s3:k":0}`, val("many"), true},

		{"same date", `"DateEquals":{"s3:k":"2026-01-02T03:04:05Z"}`, val("2026-01-02T04:04:05+01:00"), true},
		{"another date", `"DateNotEquals":{"s3:k":"2026-01-02"}`, val("2026-01-03T00:00:00Z"), true},
		{"before", `"DateLessThan":{"s3:k":"2026"}`, val("2025-12-31T23:59:59Z"), true},
		{"not before", `"DateLessThanEquals":{"s3:k":"2026-01"}`, val("2026-01-01T00:00:01Z"), false},
		{"after, seconds", `"DateGreaterThan":{"s3:k":1767225600}`, val("2026-01-01T00:00Z"), false},
		{"at or after, seconds", `"DateGreaterThanEquals":{"s3:k":1767225600}`, val("2026-01-01T00:00Z"), true},
		{"date expected, text", `"DateLessThan":{"s3:k":"2026"}`, val("soon"), false},

		{"bool", `"Bool":{"s3:k":"False"}`, val("false"), true},
		{"bool, other", `"Bool":{"s3:k":false}`, val("true"), false},
		{"binary", `"BinaryEquals":{"s3:k":"QUI="}`, val("QUI="), true},
		{"binary, other", `"BinaryEquals":{"s3:k":"QUI="}`, val("QUM="), false},

		{"in range", `"IpAddress":{"s3:k":["192.0.2.0/24","203.0.113.0/24"]}`, val("203.0.113.7"), true},
		{"out of range", `"IpAddress":{"s3:k":"203.0.113.0/24"}`, val("203.0.114.7"), false},
		{"single address", `"IpAddress":{"s3:k":"203.0.113.7"}`, val("203.0.113.7"), true},
		{"mapped address", `"IpAddress":{"s3:k":"203.0.113.0/24"}`, val("::ffff:203.0.113.7"), true},
		{"IPv6", `"IpAddress":{"s3:k":"2001:DB8:1234:5678::/64"}`, val("2001:db8:1234:5678::1"), true},
		{"IPv6 with zone", `"IpAddress":{"s3:k":"fe80::/10"}`, val("fe80::1%eth0"), true},
		{"families do not mix", `"IpAddress":{"s3:k":"0.0.0.0/0"}`, val("2001:db8::1"), false},
		{"not in range", `"NotIpAddress":{"s3:k":"203.0.113.0/24"}`, val("203.0.113.7"), false},
		{"no address", `"NotIpAddress":{"s3:k":"203.0.113.0/24"}`, val("localhost"), true},

		{"ARN", `"ArnLike":{"s3:k":"arn:aws:iam::111122223333:role/*"}`, val("arn:aws:iam::111122223333:role/a/b"), true},
		{"ARN equality has wildcards too", `"ArnEquals":{"s3:k":"arn:aws:iam::*:role/?"}`, val("arn:aws:iam::111122223333:role/a"), true},
		{"no crossing of colons", `"ArnLike":{"s3:k":"arn:aws:s:*:1:f/*"}`, val("arn:aws:s:us:9:store/abc:1:f/d"), false},
		{"the last field may hold colons", `"ArnLike":{"s3:k":"arn:aws:s:us:9:*"}`, val("arn:aws:s:us:9:a:b"), true},
		{"no ARN given", `"ArnLike":{"s3:k":"arn:*:*:*:*:*"}`, val("alice"), false},
		{"not that ARN", `"ArnNotEquals":{"s3:k":"arn:aws:iam::1:role/a"}`, val("arn:aws:iam::1:role/b"), true},
		{"not such an ARN", `"ArnNotLike":{"s3:k":"arn:aws:iam::1:role/*"}`, val("arn:aws:iam::1:role/b"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := parse(t, one(`"Principal":"*","Action":"*","Resource":"*","Condition":{`+tt.condition+`}`))
			r := get(anonymous, object)
			r.Context = tt.context
			if got := d.Evaluate(r).Effect; (got == policy.Allow) != tt.want {
				t.Errorf("%s of %v: got %v, want match %v", tt.condition, tt.context, got, tt.want)
			}
		})
	}
}
