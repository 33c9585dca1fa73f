package policy_test

import (
	"strings"
	"testing"

	"s3gate/policy"
)

// An asked is one request and what AWS says becomes of it.
type asked struct {
	name    string
	who     policy.Principal
	action  string // without s3:
	key     string // of the object; empty is the bucket
	context string // key=value,value and more of these after spaces
	want    policy.Effect
}

func (a asked) request() policy.Request {
	r := policy.Request{Action: "s3:" + a.action, Resource: bucket, Principal: a.who, Context: policy.Context{}}
	if a.key != "" {
		r.Resource += "/" + a.key
	}
	for word := range strings.FieldsSeq(a.context) {
		key, values, _ := strings.Cut(word, "=")
		r.Context.Set(key, strings.Split(values, ",")...)
	}
	return r
}

// An example is a statement, or several, that AWS explains, in our words; source names the page: of the IAM
// User Guide unless it begins with S3, which is the Amazon S3 User Guide, or API, the Amazon S3 API Reference.
type example struct {
	source     string
	statements string
	asks       []asked
}

const (
	none  = policy.None
	allow = policy.Allow
	deny  = policy.Deny

	everywhere = `"Resource":["arn:aws:s3:::media","arn:aws:s3:::media/*"]`
	objects    = `"Resource":"arn:aws:s3:::media/*"`
	theBucket  = `"Resource":"arn:aws:s3:::media"`
	anybody    = `"Principal":"*",`
	read       = `"Action":"s3:GetObject",`
	anything   = `"Action":"s3:*",`
)

var (
	delivery = policy.Principal{Service: "logging.s3.amazonaws.com"}
	cdn      = policy.Principal{Service: "cloudfront.amazonaws.com"}
	origin   = policy.Principal{ARN: "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity EH1HDMB1FH2TC"}
)

// permit and refuse write one statement.
func permit(elements string) string { return `{"Effect":"Allow",` + elements + `}` }
func refuse(elements string) string { return `{"Effect":"Deny",` + elements + `}` }

func on(condition string) string { return `,"Condition":{` + condition + `}` }

var examples = []example{
	{"Policy evaluation logic: deny over allow", permit(anybody+anything+everywhere) + "," + refuse(anybody+`"Action":"s3:DeleteObject",`+objects), []asked{
		{"denied and allowed", alice, "DeleteObject", "x", "", deny},
		{"allowed only", alice, "GetObject", "x", "", allow},
	}},
	{"Policy evaluation logic: default is deny", permit(anybody + read + objects), []asked{
		{"nothing speaks of it", alice, "PutObject", "x", "", none},
		{"nothing speaks of it, anonymous", anonymous, "PutObject", "x", "", none},
	}},
	{"Elements: Action", permit(anybody + `"Action":["s3:getOBJECT","s3:List*"],` + everywhere), []asked{
		{"names have no case", alice, "GetObject", "x", "", allow},
		{"a wildcard at the end", alice, "ListBucketVersions", "", "", allow},
		{"no prefix of a name", alice, "GetObjectAcl", "x", "", none},
	}},
	{"Elements: NotAction", refuse(anybody + `"NotAction":["s3:Get*","s3:ListBucket"],` + everywhere), []asked{
		{"listed", alice, "GetObject", "x", "", none},
		{"unlisted", alice, "PutObject", "x", "", deny},
	}},
	{"Elements: Resource", permit(anybody + read + `"Resource":["arn:aws:s3:::media/*/test/*","arn:aws:s3:::media/v?.txt"]`), []asked{
		{"a star crosses slashes", alice, "GetObject", "1/2/test/3/object.jpg", "", allow},
		{"a star between slashes", alice, "GetObject", "1/test/x", "", allow},
		{"a question mark is one character", alice, "GetObject", "v1.txt", "", allow},
		{"and not two", alice, "GetObject", "v10.txt", "", none},
		{"and not none", alice, "GetObject", "v.txt", "", none},
		{"keys have case", alice, "GetObject", "1/TEST/x", "", none},
	}},
	{"Elements: NotResource", refuse(anybody + anything + `"NotResource":["arn:aws:s3:::media/hr/*","arn:aws:s3:::media"]`), []asked{
		{"listed", alice, "GetObject", "hr/x", "", none},
		{"listed, the bucket itself", alice, "ListBucket", "", "", none},
		{"unlisted", alice, "GetObject", "payroll/x", "", deny},
	}},

	{"Elements: Principal: accounts", permit(`"Principal":{"AWS":["111122223333","arn:aws:iam::999999999999:root"]},` + read + objects), []asked{
		{"by number", alice, "GetObject", "x", "", allow},
		{"by number, a session", session, "GetObject", "x", "", allow},
		{"by the root's ARN, another than root", stranger, "GetObject", "x", "", allow},
		{"anonymous is of no account", anonymous, "GetObject", "x", "", none},
	}},
	{"Elements: Principal: users", permit(`"Principal":{"AWS":"arn:aws:iam::111122223333:user/Alice"},` + read + objects), []asked{
		{"names of users have case", alice, "GetObject", "x", "", none},
		{"the same name", policy.Principal{ARN: "arn:aws:iam::111122223333:user/Alice"}, "GetObject", "x", "", allow},
		{"its account's root", root, "GetObject", "x", "", none},
	}},
	{"Elements: Principal: roles and sessions", permit(`"Principal":{"AWS":["arn:aws:iam::111122223333:role/uploader","arn:aws:sts::111122223333:assumed-role/auditor/s"]},` + read + objects), []asked{
		{"a session of the role", session, "GetObject", "x", "", allow},
		{"that session", policy.Principal{ARN: "arn:aws:sts::111122223333:assumed-role/auditor/s"}, "GetObject", "x", "", allow},
		{"another session", policy.Principal{ARN: "arn:aws:sts::111122223333:assumed-role/auditor/t"}, "GetObject", "x", "", none},
	}},
	{"Elements: Principal: services", permit(`"Principal":{"Service":["cloudfront.amazonaws.com","ecs.amazonaws.com"]},` + read + objects), []asked{
		{"a listed service", cdn, "GetObject", "x", "", allow},
		{"another service", delivery, "GetObject", "x", "", none},
		{"no service", alice, "GetObject", "x", "", none},
	}},
	{"Elements: Principal: everybody", permit(`"Principal":{"AWS":"*"},` + read + objects), []asked{
		{"is also anonymous", anonymous, "GetObject", "x", "", allow},
		{"is also other accounts", stranger, "GetObject", "x", "", allow},
	}},
	{"Elements: Principal: all but one by aws:PrincipalArn", refuse(anybody + anything + everywhere + on(`"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:user/alice"}`)), []asked{
		{"the one", alice, "GetObject", "x", "", none},
		{"another", bob, "GetObject", "x", "", deny},
		{"anonymous", anonymous, "GetObject", "x", "", deny},
	}},
	{"Elements: NotPrincipal with Deny: a user", refuse(`"NotPrincipal":{"AWS":["arn:aws:iam::111122223333:user/alice","arn:aws:iam::111122223333:root"]},` + anything + everywhere), []asked{
		{"the user", alice, "GetObject", "x", "", none},
		{"another of the account", bob, "GetObject", "x", "", deny},
		{"another account", stranger, "GetObject", "x", "", deny},
		{"anonymous", anonymous, "GetObject", "x", "", deny},
		{"a service", delivery, "PutObject", "x", "", deny},
	}},
	{"Elements: NotPrincipal with Deny: a session", refuse(`"NotPrincipal":{"AWS":["arn:aws:sts::111122223333:assumed-role/uploader/i-0abc","arn:aws:iam::111122223333:role/uploader","arn:aws:iam::111122223333:root"]},` + anything + everywhere), []asked{
		{"the session", session, "GetObject", "x", "", none},
		{"another session", policy.Principal{ARN: "arn:aws:sts::111122223333:assumed-role/uploader/j"}, "GetObject", "x", "", deny},
	}},
	{"Elements: NotPrincipal with Deny: the account is missing", refuse(`"NotPrincipal":{"AWS":"arn:aws:iam::111122223333:user/alice"},` + anything + everywhere), []asked{
		{"denies the account, and the user with it", alice, "GetObject", "x", "", deny},
	}},
	{"Elements: NotPrincipal with Deny: a service", refuse(`"NotPrincipal":{"Service":"logging.s3.amazonaws.com"},"Action":"s3:PutObject",` + objects), []asked{
		{"the service", delivery, "PutObject", "logs/x", "", none},
		{"another service", cdn, "PutObject", "logs/x", "", deny},
		{"a user", alice, "PutObject", "logs/x", "", deny},
	}},

	{"Condition operators: string", permit(anybody + read + objects + on(`"StringEquals":{"aws:PrincipalTag/job-category":"Admin"}`)), []asked{
		{"equal", alice, "GetObject", "x", "aws:PrincipalTag/job-category=Admin", allow},
		{"case counts", alice, "GetObject", "x", "aws:PrincipalTag/job-category=admin", none},
		{"without the tag", alice, "GetObject", "x", "", none},
	}},
	{"Condition operators: string, ignoring case", permit(anybody+read+objects+on(`"StringEqualsIgnoreCase":{"aws:UserAgent":"curl"}`)) + "," + refuse(anybody+read+objects+on(`"StringNotEqualsIgnoreCase":{"aws:UserAgent":"curl"}`)), []asked{
		{"other case", alice, "GetObject", "x", "aws:UserAgent=CURL", allow},
		{"another", alice, "GetObject", "x", "aws:UserAgent=wget", deny},
		{"absent: not equal", alice, "GetObject", "x", "", deny},
	}},
	{"Condition operators: StringLike with a variable", permit(anybody + `"Action":"s3:ListBucket",` + theBucket + on(`"StringLike":{"s3:prefix":["","home/","home/${aws:username}/*"]}`)), []asked{
		{"an empty prefix", alice, "ListBucket", "", "s3:prefix=", allow},
		{"the listed one", alice, "ListBucket", "", "s3:prefix=home/", allow},
		{"the own one", alice, "ListBucket", "", "s3:prefix=home/alice/x", allow},
		{"another's", alice, "ListBucket", "", "s3:prefix=home/bob/x", none},
		{"no prefix at all", alice, "ListBucket", "", "", none},
		{"a session has no name", session, "ListBucket", "", "s3:prefix=home//x", none},
	}},
	{"Condition operators: numeric", permit(anybody + `"Action":"s3:ListBucket",` + theBucket + on(`"NumericLessThanEquals":{"s3:max-keys":"10"}`)), []asked{
		{"at most", alice, "ListBucket", "", "s3:max-keys=10", allow},
		{"as numbers and not as text", alice, "ListBucket", "", "s3:max-keys=9", allow},
		{"more", alice, "ListBucket", "", "s3:max-keys=11", none},
		{"absent", alice, "ListBucket", "", "", none},
	}},
	{"Condition operators: numeric, all of them", permit(anybody + read + objects +
		on(`"NumericGreaterThan":{"s3:signatureAge":1},"NumericGreaterThanEquals":{"s3:signatureAge":"2.0"},"NumericLessThan":{"s3:signatureAge":5},"NumericNotEquals":{"s3:signatureAge":[3,3.5]}`)), []asked{
		{"2", alice, "GetObject", "x", "s3:signatureAge=2", allow},
		{"3", alice, "GetObject", "x", "s3:signatureAge=3", none},
		{"4", alice, "GetObject", "x", "s3:signatureAge=4", allow},
		{"5", alice, "GetObject", "x", "s3:signatureAge=5", none},
	}},
	{"Condition operators: date", permit(`"Principal":{"AWS":"111122223333"},` + read + objects + on(`"DateGreaterThan":{"aws:TokenIssueTime":"2020-01-01T00:00:01Z"}`)), []asked{
		{"issued later", session, "GetObject", "x", "aws:TokenIssueTime=2020-01-01T00:00:02Z", allow},
		{"issued then", session, "GetObject", "x", "aws:TokenIssueTime=2020-01-01T00:00:01Z", none},
		{"long-term keys have no such time", alice, "GetObject", "x", "", none},
	}},
	{"Condition operators: date, between two", permit(anybody + read + objects + on(`"DateGreaterThanEquals":{"aws:CurrentTime":"2026-07-01T00:00:00Z"},"DateLessThanEquals":{"aws:CurrentTime":"2026-12-31T23:59:59Z"}`)), []asked{
		{"first second", alice, "GetObject", "x", "aws:CurrentTime=2026-07-01T00:00:00Z", allow},
		{"last second, elsewhere", alice, "GetObject", "x", "aws:CurrentTime=2027-01-01T00:59:59+01:00", allow},
		{"too late", alice, "GetObject", "x", "aws:CurrentTime=2027-01-01T00:00:00Z", none},
	}},
	{"Condition operators: date in epoch time", permit(anybody + read + objects + on(`"DateLessThan":{"aws:EpochTime":"1767225600"}`)), []asked{
		{"before", alice, "GetObject", "x", "aws:EpochTime=1767225599", allow},
		{"then", alice, "GetObject", "x", "aws:EpochTime=1767225600", none},
	}},
	{"Condition operators: Boolean", refuse(anybody + anything + everywhere + on(`"Bool":{"aws:SecureTransport":"false"}`)), []asked{
		{"plain HTTP", alice, "GetObject", "x", "aws:SecureTransport=false", deny},
		{"TLS", alice, "GetObject", "x", "aws:SecureTransport=true", none},
	}},
	{"Condition operators: binary", permit(anybody + read + objects + on(`"BinaryEquals":{"s3:x-amz-content-sha256":"QmluYXJ5VmFsdWVJbkJhc2U2NA=="}`)), []asked{
		{"the same bytes", alice, "GetObject", "x", "s3:x-amz-content-sha256=QmluYXJ5VmFsdWVJbkJhc2U2NA==", allow},
		{"others", alice, "GetObject", "x", "s3:x-amz-content-sha256=QmluYXJ5", none},
	}},
	{"Condition operators: IP address", permit(anybody + read + objects + on(`"IpAddress":{"aws:SourceIp":["203.0.113.0/24","2001:DB8:1234:5678::/64","198.51.100.7"]}`)), []asked{
		{"in the range", alice, "GetObject", "x", "aws:SourceIp=203.0.113.255", allow},
		{"out of it", alice, "GetObject", "x", "aws:SourceIp=203.0.114.0", none},
		{"IPv6", alice, "GetObject", "x", "aws:SourceIp=2001:db8:1234:5678::ffff", allow},
		{"IPv6, out of it", alice, "GetObject", "x", "aws:SourceIp=2001:db8:1234:5679::1", none},
		{"without a length it is one address", alice, "GetObject", "x", "aws:SourceIp=198.51.100.7", allow},
		{"and not its neighbour", alice, "GetObject", "x", "aws:SourceIp=198.51.100.8", none},
		{"through a VPC endpoint there is no address", alice, "GetObject", "x", "aws:SourceVpce=vpce-1 aws:VpcSourceIp=203.0.113.1", none},
	}},
	{"Condition operators: ARN", permit(anybody+read+objects+on(`"ArnLike":{"aws:SourceArn":"arn:aws:someservice:*:111122223333:finance/*"}`)) + "," +
		permit(anybody+`"Action":"s3:PutObject",`+objects+on(`"StringLike":{"aws:SourceArn":"arn:aws:someservice:*:111122223333:finance/*"}`)), []asked{
		{"field by field", alice, "GetObject", "x", "aws:SourceArn=arn:aws:someservice:us-east-2:111122223333:finance/document.txt", allow},
		{"a star does not cross a colon", alice, "GetObject", "x", "aws:SourceArn=arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt", none},
		{"that of StringLike does", alice, "PutObject", "x", "aws:SourceArn=arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt", allow},
		{"a request of nobody's behalf has none", alice, "GetObject", "x", "", none},
	}},
	{"Condition operators: ARN, equal is like", permit(anybody+read+objects+on(`"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::*:role/up*"}`)) + "," +
		refuse(anybody+`"Action":"s3:PutObject",`+objects+on(`"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::*:role/up*"}`)), []asked{
		{"a session counts as its role", session, "GetObject", "x", "", allow},
		{"another", alice, "GetObject", "x", "", none},
		{"negated", session, "PutObject", "x", "", none},
		{"negated, another", alice, "PutObject", "x", "", deny},
	}},
	{"Condition operators: IfExists", permit(anybody+read+objects+on(`"StringLikeIfExists":{"s3:ExistingObjectTag/type":["t1.*","m3.*"]}`)) + "," +
		refuse(anybody+`"Action":"s3:PutObject",`+objects+on(`"StringNotEqualsIfExists":{"s3:RequestObjectTag/env":"dev"}`)), []asked{
		{"present and matching", alice, "GetObject", "x", "s3:ExistingObjectTag/type=t1.micro", allow},
		{"present and another", alice, "GetObject", "x", "s3:ExistingObjectTag/type=x1.big", none},
		{"absent", alice, "GetObject", "x", "", allow},
		{"negated, absent: denied all the same", alice, "PutObject", "x", "", deny},
		{"negated, present and equal", alice, "PutObject", "x", "s3:RequestObjectTag/env=dev", none},
	}},
	{"Condition operators: Null", permit(anybody + read + objects + on(`"Null":{"aws:TokenIssueTime":"true"}`)), []asked{
		{"long-term keys", alice, "GetObject", "x", "", allow},
		{"temporary ones", session, "GetObject", "x", "aws:TokenIssueTime=2026-01-01T00:00:00Z", none},
	}},
	{"Condition operators: absent keys", refuse(anybody + read + objects + on(`"StringNotLike":{"aws:Referer":"https://example.com/*"}`)), []asked{
		{"a negated operator holds without the key", alice, "GetObject", "x", "", deny},
		{"and not with what it names", alice, "GetObject", "x", "aws:Referer=https://example.com/a", none},
	}},

	{"Conditions with multiple keys or values: and, or", permit(anybody + read + objects + on(`"StringEquals":{"aws:PrincipalTag/dept":["finance","hr"],"aws:PrincipalTag/role":"audit"},"StringLike":{"aws:UserAgent":"s3gate*"}`)), []asked{
		{"one value of each key, of each operator", alice, "GetObject", "x", "aws:PrincipalTag/dept=hr aws:PrincipalTag/role=audit aws:UserAgent=s3gate/1", allow},
		{"one key is another", alice, "GetObject", "x", "aws:PrincipalTag/dept=hr aws:PrincipalTag/role=dev aws:UserAgent=s3gate/1", none},
		{"one operator does not hold", alice, "GetObject", "x", "aws:PrincipalTag/dept=hr aws:PrincipalTag/role=audit aws:UserAgent=curl", none},
	}},
	{"Conditions with multiple keys or values: negated lists are nor", refuse(anybody + read + objects + on(`"StringNotEquals":{"aws:PrincipalTag/dept":["finance","hr"]}`)), []asked{
		{"the first", alice, "GetObject", "x", "aws:PrincipalTag/dept=finance", none},
		{"the second", alice, "GetObject", "x", "aws:PrincipalTag/dept=hr", none},
		{"neither", alice, "GetObject", "x", "aws:PrincipalTag/dept=legal", deny},
	}},
	{"Conditions with multiple keys or values: ForAllValues", permit(anybody + `"Action":"s3:PutObjectTagging",` + objects + on(`"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["Owner","CreationDate"]}`)), []asked{
		{"all are listed", alice, "PutObjectTagging", "x", "s3:RequestObjectTagKeys=CreationDate,Owner", allow},
		{"some are", alice, "PutObjectTagging", "x", "s3:RequestObjectTagKeys=Owner", allow},
		{"one is not", alice, "PutObjectTagging", "x", "s3:RequestObjectTagKeys=Owner,Secret", none},
		{"without the key", alice, "PutObjectTagging", "x", "", allow},
		{"an empty text is no value", alice, "PutObjectTagging", "x", "s3:RequestObjectTagKeys=", allow},
	}},
	{"Conditions with multiple keys or values: ForAllValues and Null", permit(anybody + `"Action":"s3:PutObjectTagging",` + objects + on(`"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":"Owner"},"Null":{"s3:RequestObjectTagKeys":"false"}`)), []asked{
		{"with the key", alice, "PutObjectTagging", "x", "s3:RequestObjectTagKeys=Owner", allow},
		{"without the key", alice, "PutObjectTagging", "x", "", none},
	}},
	{"Conditions with multiple keys or values: ForAnyValue", refuse(anybody + `"Action":"s3:PutObjectTagging",` + objects + on(`"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["ID","Date"]}`)), []asked{
		{"one is listed", alice, "PutObjectTagging", "x", "s3:RequestObjectTagKeys=Date,Message", deny},
		{"none is", alice, "PutObjectTagging", "x", "s3:RequestObjectTagKeys=UserName", none},
		{"without the key", alice, "PutObjectTagging", "x", "", none},
		{"an empty text is no value", alice, "PutObjectTagging", "x", "s3:RequestObjectTagKeys=", none},
	}},

	{"Variables and tags: user name", permit(anybody + `"Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::media/${aws:username}/*"`), []asked{
		{"own", alice, "GetObject", "alice/x", "", allow},
		{"another's", bob, "GetObject", "alice/x", "", none},
		{"without a value nothing matches", session, "GetObject", "/x", "", none},
		{"not literally either", session, "GetObject", "${aws:username}/x", "", none},
	}},
	{"Variables and tags: names have no case", permit(anybody + read + `"Resource":"arn:aws:s3:::media/${AWS:USERNAME}/*"`), []asked{
		{"own", alice, "GetObject", "alice/x", "", allow},
	}},
	{"Variables and tags: tags", permit(anybody + read + `"Resource":"arn:aws:s3:::media/${aws:PrincipalTag/department}/*"`), []asked{
		{"own department", alice, "GetObject", "hr/x", "aws:PrincipalTag/department=hr", allow},
		{"another", alice, "GetObject", "hr/x", "aws:PrincipalTag/department=dev", none},
	}},
	{"Variables and tags: default values", permit(anybody + read + `"Resource":"arn:aws:s3:::media/${aws:userid, 'anonymous'}/*"`), []asked{
		{"with a value", alice, "GetObject", "AIDAALICE/x", "", allow},
		{"without", anonymous, "GetObject", "anonymous/x", "", allow},
		{"the default of others", alice, "GetObject", "anonymous/x", "", none},
	}},
	{"Variables and tags: special characters", permit(anybody + read + `"Resource":"arn:aws:s3:::media/${*}${?}${$}"`), []asked{
		{"literally", alice, "GetObject", "*?$", "", allow},
		{"no wildcards", alice, "GetObject", "abc", "", none},
	}},
	{"Variables and tags: principal key values", permit(anybody + read + objects + on(`"StringEquals":{"aws:PrincipalType":["User","Anonymous"]}`)), []asked{
		{"a user", alice, "GetObject", "x", "", allow},
		{"anonymous", anonymous, "GetObject", "x", "", allow},
		{"a session", session, "GetObject", "x", "", none},
		{"the root user", root, "GetObject", "x", "", none},
		{"a federated user", policy.Principal{ARN: "arn:aws:sts::111122223333:federated-user/eve"}, "GetObject", "x", "", none},
	}},

	{"Global condition keys: MFA, Bool", permit(anybody+read+objects) + "," + refuse(anybody+anything+everywhere+on(`"Bool":{"aws:MultiFactorAuthPresent":"false"}`)), []asked{
		{"not used", session, "GetObject", "x", "aws:MultiFactorAuthPresent=false", deny},
		{"long-term keys slip through", alice, "GetObject", "x", "", allow},
	}},
	{"Global condition keys: MFA, BoolIfExists", permit(anybody+read+objects) + "," + refuse(anybody+anything+everywhere+on(`"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}`)), []asked{
		{"used", session, "GetObject", "x", "aws:MultiFactorAuthPresent=true", allow},
		{"not used", session, "GetObject", "x", "aws:MultiFactorAuthPresent=false", deny},
		{"long-term keys", alice, "GetObject", "x", "", deny},
	}},
	{"Global condition keys: aws:PrincipalOrgID", permit(anybody + `"Action":"s3:PutObject",` + objects + on(`"StringEquals":{"aws:PrincipalOrgID":["o-a1b2c3d4e5"]}`)), []asked{
		{"a member", stranger, "PutObject", "x", "aws:PrincipalOrgID=o-a1b2c3d4e5", allow},
		{"of another", stranger, "PutObject", "x", "aws:PrincipalOrgID=o-zzzzzzzzzz", none},
		{"of none", anonymous, "PutObject", "x", "", none},
	}},
	{"Global condition keys: aws:PrincipalOrgPaths", permit(anybody + read + objects + on(`"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":["o-a1/r-1/ou-def/*","o-a1/r-1/ou-jkl/*"]}`)), []asked{
		{"below one", stranger, "GetObject", "x", "aws:PrincipalOrgPaths=o-a1/r-1/ou-jkl/ou-x/", allow},
		{"elsewhere", stranger, "GetObject", "x", "aws:PrincipalOrgPaths=o-a1/r-1/ou-ghi/", none},
		{"of no organization", stranger, "GetObject", "x", "", none},
	}},
	{"Global condition keys: aws:PrincipalAccount", refuse(anybody + anything + everywhere + on(`"StringNotEquals":{"aws:PrincipalAccount":"111122223333"}`)), []asked{
		{"own", alice, "GetObject", "x", "", none},
		{"another", stranger, "GetObject", "x", "", deny},
		{"anonymous", anonymous, "GetObject", "x", "", deny},
	}},
	{"Global condition keys: aws:PrincipalAccount of anonymous requests", permit(anybody + read + objects + on(`"StringEquals":{"aws:PrincipalAccount":"anonymous"}`)), []asked{
		{"anonymous", anonymous, "GetObject", "x", "", allow},
		{"signed", alice, "GetObject", "x", "", none},
	}},
	{"Global condition keys: aws:PrincipalIsAWSService", refuse(anybody + `"Action":"s3:PutObject",` + objects + on(`"Bool":{"aws:PrincipalIsAWSService":"false"}`)), []asked{
		{"a service", delivery, "PutObject", "x", "", none},
		{"a user", alice, "PutObject", "x", "", deny},
		{"anonymous requests lack it", anonymous, "PutObject", "x", "", none},
	}},
	{"Global condition keys: aws:PrincipalServiceName", refuse(anybody + `"Action":"s3:PutObject",` + objects + on(`"StringNotEqualsIfExists":{"aws:PrincipalServiceName":"logging.s3.amazonaws.com"}`)), []asked{
		{"the service", delivery, "PutObject", "x", "", none},
		{"another", cdn, "PutObject", "x", "", deny},
	}},
	{"Global condition keys: aws:ViaAWSService", permit(anybody+`"Action":"s3:PutObject",`+objects+on(`"Bool":{"aws:ViaAWSService":"false"},"IpAddress":{"aws:SourceIp":"192.0.2.89"}`)) + "," +
		permit(anybody+`"Action":"s3:PutObject",`+objects+on(`"Bool":{"aws:ViaAWSService":"true"}`)), []asked{
		{"directly, from there", alice, "PutObject", "x", "aws:ViaAWSService=false aws:SourceIp=192.0.2.89", allow},
		{"directly, from elsewhere", alice, "PutObject", "x", "aws:ViaAWSService=false aws:SourceIp=192.0.2.90", none},
		{"by a service", alice, "PutObject", "x", "aws:ViaAWSService=true aws:SourceIp=192.0.2.90", allow},
	}},
	{"Global condition keys: names have no case", permit(anybody + read + objects + on(`"IpAddress":{"AWS:SOURCEIP":"192.0.2.0/24"}`)), []asked{
		{"in the range", alice, "GetObject", "x", "aws:SourceIp=192.0.2.1", allow},
	}},

	{"S3: bucket policy examples: public read", permit(anybody + `"Action":["s3:GetObject","s3:GetObjectVersion"],` + objects), []asked{
		{"anonymous", anonymous, "GetObject", "x", "", allow},
		{"writing", anonymous, "PutObject", "x", "", none},
		{"listing", anonymous, "ListBucket", "", "", none},
	}},
	{"S3: bucket policy examples: IP addresses", refuse(anybody + anything + everywhere + on(`"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}`)), []asked{
		{"in the range", alice, "GetObject", "x", "aws:SourceIp=192.0.2.1", none},
		{"out of it", alice, "GetObject", "x", "aws:SourceIp=203.0.113.1", deny},
		{"through a VPC endpoint there is no address", alice, "GetObject", "x", "aws:SourceVpce=vpce-1", deny},
	}},
	{"S3: bucket policy examples: IPv4 and IPv6", permit(anybody + anything + everywhere +
		on(`"IpAddress":{"aws:SourceIp":["192.0.2.0/24","2001:DB8:1234:5678::/64"]},"NotIpAddress":{"aws:SourceIp":["192.0.2.128/30","2001:DB8:1234:5678:ABCD::/80"]}`)), []asked{
		{"in", alice, "GetObject", "x", "aws:SourceIp=192.0.2.1", allow},
		{"in, and left out", alice, "GetObject", "x", "aws:SourceIp=192.0.2.129", none},
		{"in, IPv6", alice, "GetObject", "x", "aws:SourceIp=2001:DB8:1234:5678::1", allow},
		{"in and left out, IPv6", alice, "GetObject", "x", "aws:SourceIp=2001:DB8:1234:5678:ABCD::1", none},
	}},
	{"S3: bucket policy examples: referer", permit(anybody + read + objects + on(`"StringLike":{"aws:Referer":["http://www.example.com/*","http://example.com/*"]}`)), []asked{
		{"from a page", anonymous, "GetObject", "x", "aws:Referer=http://www.example.com/a.html", allow},
		{"from elsewhere", anonymous, "GetObject", "x", "aws:Referer=http://example.org/", none},
		{"typed", anonymous, "GetObject", "x", "", none},
	}},
	{"S3: bucket policy examples: CloudFront OAI", permit(`"Principal":{"AWS":"arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity EH1HDMB1FH2TC"},` + read + objects), []asked{
		{"the identity", origin, "GetObject", "x", "", allow},
		{"anybody else", anonymous, "GetObject", "x", "", none},
	}},
	{"S3: bucket policy examples: CloudFront OAC", permit(`"Principal":{"Service":"cloudfront.amazonaws.com"},` + read + objects + on(`"StringEquals":{"aws:SourceArn":"arn:aws:cloudfront::111122223333:distribution/E1"}`)), []asked{
		{"the distribution", cdn, "GetObject", "x", "aws:SourceArn=arn:aws:cloudfront::111122223333:distribution/E1", allow},
		{"another", cdn, "GetObject", "x", "aws:SourceArn=arn:aws:cloudfront::999999999999:distribution/E2", none},
	}},
	{"S3: bucket policy examples: MFA", refuse(anybody+anything+`"Resource":"arn:aws:s3:::media/tax/*"`+on(`"Null":{"aws:MultiFactorAuthAge":true}`)) + "," +
		refuse(anybody+anything+`"Resource":"arn:aws:s3:::media/tax/*"`+on(`"NumericGreaterThan":{"aws:MultiFactorAuthAge":3600}`)) + "," + permit(anybody+read+objects), []asked{
		{"without", alice, "GetObject", "tax/x", "", deny},
		{"fresh", alice, "GetObject", "tax/x", "aws:MultiFactorAuthAge=3600", allow},
		{"stale", alice, "GetObject", "tax/x", "aws:MultiFactorAuthAge=3601", deny},
		{"elsewhere", alice, "GetObject", "x", "", allow},
	}},
	{"S3: bucket policy examples: full control of the owner", permit(`"Principal":{"AWS":"999999999999"},"Action":"s3:PutObject",` + objects + on(`"StringEquals":{"s3:x-amz-acl":"bucket-owner-full-control"}`)), []asked{
		{"with the ACL", stranger, "PutObject", "x", "s3:x-amz-acl=bucket-owner-full-control", allow},
		{"with another", stranger, "PutObject", "x", "s3:x-amz-acl=public-read", none},
		{"with none", stranger, "PutObject", "x", "", none},
		{"another account", alice, "PutObject", "x", "s3:x-amz-acl=bucket-owner-full-control", none},
	}},
	{"S3: bucket policy examples: inventory and analytics", permit(`"Principal":{"Service":"s3.amazonaws.com"},"Action":"s3:PutObject",` + objects +
		on(`"ArnLike":{"aws:SourceArn":"arn:aws:s3:::source"},"StringEquals":{"aws:SourceAccount":"111122223333","s3:x-amz-acl":"bucket-owner-full-control"}`)), []asked{
		{"for the source", policy.Principal{Service: "s3.amazonaws.com"}, "PutObject", "x", "aws:SourceArn=arn:aws:s3:::source aws:SourceAccount=111122223333 s3:x-amz-acl=bucket-owner-full-control", allow},
		{"for another account", policy.Principal{Service: "s3.amazonaws.com"}, "PutObject", "x", "aws:SourceArn=arn:aws:s3:::source aws:SourceAccount=999999999999 s3:x-amz-acl=bucket-owner-full-control", none},
	}},
	{"S3: server access logging: permissions", permit(`"Principal":{"Service":"logging.s3.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::media/logs/*"` +
		on(`"ArnLike":{"aws:SourceArn":"arn:aws:s3:::source"},"StringEquals":{"aws:SourceAccount":"111122223333"}`)), []asked{
		{"the log", delivery, "PutObject", "logs/x", "aws:SourceArn=arn:aws:s3:::source aws:SourceAccount=111122223333", allow},
		{"elsewhere", delivery, "PutObject", "x", "aws:SourceArn=arn:aws:s3:::source aws:SourceAccount=111122223333", none},
	}},
	{"S3: bucket policy examples: encryption", refuse(anybody + `"Action":"s3:PutObject",` + objects + on(`"Null":{"s3:x-amz-server-side-encryption-aws-kms-key-id":"true"}`)), []asked{
		{"without a key", alice, "PutObject", "x", "", deny},
		{"with one", alice, "PutObject", "x", "s3:x-amz-server-side-encryption-aws-kms-key-id=arn:aws:kms:us-east-1:111122223333:key/k", none},
	}},
	{"S3: bucket policy examples: TLS version", refuse(anybody + anything + everywhere + on(`"NumericLessThan":{"s3:TlsVersion":1.2}`)), []asked{
		{"1.1", alice, "GetObject", "x", "s3:TlsVersion=1.1", deny},
		{"1.2", alice, "GetObject", "x", "s3:TlsVersion=1.2", none},
		{"1.3", alice, "GetObject", "x", "s3:TlsVersion=1.3", none},
		{"plain HTTP has none", alice, "GetObject", "x", "aws:SecureTransport=false", none},
	}},

	{"S3: VPC endpoints: one endpoint", refuse(anybody + anything + everywhere + on(`"StringNotEquals":{"aws:SourceVpce":"vpce-1a2b3c4d"}`)), []asked{
		{"through it", alice, "GetObject", "x", "aws:SourceVpce=vpce-1a2b3c4d", none},
		{"through another", alice, "GetObject", "x", "aws:SourceVpce=vpce-other", deny},
		{"from the internet", alice, "GetObject", "x", "aws:SourceIp=203.0.113.1", deny},
	}},
	{"S3: VPC endpoints: one VPC", refuse(anybody + anything + everywhere + on(`"StringNotEquals":{"aws:SourceVpc":"vpc-111bbb22"}`)), []asked{
		{"from it", alice, "GetObject", "x", "aws:SourceVpc=vpc-111bbb22", none},
		{"from elsewhere", alice, "GetObject", "x", "", deny},
	}},

	{"S3: condition key examples: grants", permit(`"Principal":{"AWS":"arn:aws:iam::999999999999:user/alice"},"Action":"s3:PutObject",`+objects+on(`"StringEquals":{"s3:x-amz-grant-full-control":"id=A"}`)) + "," +
		refuse(`"Principal":{"AWS":"arn:aws:iam::999999999999:user/alice"},"Action":"s3:PutObject",`+objects+on(`"StringNotEquals":{"s3:x-amz-grant-full-control":"id=A"}`)), []asked{
		{"with it", stranger, "PutObject", "x", "s3:x-amz-grant-full-control=id=A", allow},
		{"without it", stranger, "PutObject", "x", "", deny},
	}},
	{"S3: condition key examples: canned ACLs", permit(`"Principal":{"AWS":["arn:aws:iam::111122223333:root","arn:aws:iam::444455556666:root"]},"Action":["s3:PutObject","s3:PutObjectAcl"],` + objects + on(`"StringEquals":{"s3:x-amz-acl":["public-read"]}`)), []asked{
		{"with it", alice, "PutObject", "x", "s3:x-amz-acl=public-read", allow},
		{"with another", alice, "PutObject", "x", "s3:x-amz-acl=private", none},
	}},
	{"S3: condition key examples: encryption", refuse(anybody + `"Action":"s3:PutObject",` + objects + on(`"StringNotEquals":{"s3:x-amz-server-side-encryption":"AES256"}`)), []asked{
		{"encrypted", alice, "PutObject", "x", "s3:x-amz-server-side-encryption=AES256", none},
		{"otherwise", alice, "PutObject", "x", "s3:x-amz-server-side-encryption=aws:kms", deny},
		{"without the header", alice, "PutObject", "x", "", deny},
	}},
	{"S3: condition key examples: copy source", permit(`"Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"},"Action":"s3:PutObject",`+objects) + "," +
		refuse(`"Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"},"Action":"s3:PutObject",`+objects+on(`"StringNotLike":{"s3:x-amz-copy-source":"source/public/*"}`)), []asked{
		{"from there", alice, "PutObject", "x", "s3:x-amz-copy-source=source/public/a.jpg", allow},
		{"from elsewhere", alice, "PutObject", "x", "s3:x-amz-copy-source=source/private/a.jpg", deny},
		{"no copy", alice, "PutObject", "x", "", deny},
	}},
	{"S3: condition key examples: version", permit(`"Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"},"Action":"s3:GetObjectVersion",`+objects) + "," +
		refuse(`"Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"},"Action":"s3:GetObjectVersion",`+objects+on(`"StringNotEquals":{"s3:VersionId":"AaaHb"}`)), []asked{
		{"the version", alice, "GetObjectVersion", "x", "s3:versionid=AaaHb", allow},
		{"another", alice, "GetObjectVersion", "x", "s3:versionid=other", deny},
	}},
	{"S3: condition key examples: storage class", permit(anybody + `"Action":"s3:PutObject",` + objects + on(`"StringEquals":{"s3:x-amz-storage-class":["STANDARD_IA"]}`)), []asked{
		{"that class", alice, "PutObject", "x", "s3:x-amz-storage-class=STANDARD_IA", allow},
		{"no class named", alice, "PutObject", "x", "", none},
	}},
	{"S3: condition key examples: prefix", permit(`"Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"},"Action":"s3:ListBucket",`+theBucket+on(`"StringEquals":{"s3:prefix":"projects"}`)) + "," +
		refuse(`"Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"},"Action":"s3:ListBucket",`+theBucket+on(`"StringNotEquals":{"s3:prefix":"projects"}`)), []asked{
		{"that prefix", alice, "ListBucket", "", "s3:prefix=projects", allow},
		{"below it", alice, "ListBucket", "", "s3:prefix=projects/a", deny},
		{"none", alice, "ListBucket", "", "", deny},
	}},
	{"S3: walkthrough: prefix and delimiter", permit(anybody + `"Action":"s3:ListBucket",` + theBucket + on(`"StringEquals":{"s3:prefix":["","home/"],"s3:delimiter":["/"]}`)), []asked{
		{"the top", alice, "ListBucket", "", "s3:prefix= s3:delimiter=/", allow},
		{"all below the top", alice, "ListBucket", "", "s3:prefix=", none},
	}},
	{"S3: tagging and access control: existing tags", permit(anybody + read + objects + on(`"StringEquals":{"s3:ExistingObjectTag/environment":"production"}`)), []asked{
		{"tagged so", alice, "GetObject", "x", "s3:ExistingObjectTag/environment=production", allow},
		{"otherwise", alice, "GetObject", "x", "s3:ExistingObjectTag/environment=test", none},
		{"untagged", alice, "GetObject", "x", "", none},
	}},
	{"S3: tagging and access control: requested tags", permit(anybody + `"Action":"s3:PutObjectTagging",` + objects + on(`"ForAllValues:StringLike":{"s3:RequestObjectTagKeys":["Owner*"]},"StringEquals":{"s3:RequestObjectTag/Project":"X"}`)), []asked{
		{"a key that is not listed", alice, "PutObjectTagging", "x", "s3:RequestObjectTagKeys=Owner,Project s3:RequestObjectTag/Project=X", none},
		{"listed", alice, "PutObjectTagging", "x", "s3:RequestObjectTagKeys=Owners s3:RequestObjectTag/Project=X", allow},
	}},

	{"API: SigV4 policy keys: signatureAge", refuse(anybody + anything + objects + on(`"NumericGreaterThan":{"s3:signatureAge":"600000"}`)), []asked{
		{"ten minutes, in milliseconds", alice, "GetObject", "x", "s3:signatureAge=600000", none},
		{"a millisecond more", alice, "GetObject", "x", "s3:signatureAge=600001", deny},
		{"signed in the header", alice, "GetObject", "x", "", none},
	}},
	{"API: SigV4 policy keys: authType", refuse(anybody + anything + objects + on(`"StringNotEquals":{"s3:authType":"REST-HEADER"}`)), []asked{
		{"in the header", alice, "GetObject", "x", "s3:authType=REST-HEADER", none},
		{"in the query string", alice, "GetObject", "x", "s3:authType=REST-QUERY-STRING", deny},
		{"in a form", alice, "PutObject", "x", "s3:authType=POST", deny},
		{"anonymous", anonymous, "GetObject", "x", "", deny},
	}},
	{"API: SigV4 policy keys: signatureversion", refuse(anybody + anything + objects + on(`"StringEquals":{"s3:signatureversion":"AWS"}`)), []asked{
		{"version 2", alice, "GetObject", "x", "s3:signatureversion=AWS", deny},
		{"version 4", alice, "GetObject", "x", "s3:signatureversion=AWS4-HMAC-SHA256", none},
	}},
	{"API: SigV4 policy keys: x-amz-content-sha256", refuse(anybody + anything + objects + on(`"StringEquals":{"s3:x-amz-content-sha256":"UNSIGNED-PAYLOAD"}`)), []asked{
		{"unsigned", alice, "PutObject", "x", "s3:x-amz-content-sha256=UNSIGNED-PAYLOAD", deny},
		{"signed", alice, "PutObject", "x", "s3:x-amz-content-sha256=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", none},
	}},
}

func TestExamplesOfAWS(t *testing.T) {
	for _, e := range examples {
		d := parse(t, `{"Version":"2012-10-17","Statement":[`+e.statements+`]}`)
		for _, a := range e.asks {
			t.Run(e.source+"/"+a.name, func(t *testing.T) {
				if got := d.Evaluate(a.request()).Effect; got != a.want {
					t.Errorf("got %v, want %v\n%s\n%s", got, a.want, e.statements, a.context)
				}
			})
		}
	}
}

// What AWS has and this package does not is refused by name, and so is what AWS refuses: neither is
// evaluated as if it said something else.
func TestExamplesThatAreRefused(t *testing.T) {
	for _, tt := range []struct{ source, statement, want string }{
		{"Elements: NotPrincipal with Allow", permit(`"NotPrincipal":{"AWS":"111122223333"},` + read + objects), "NotPrincipal: not supported with Allow"},
		{"Elements: Principal: no wildcards in names", permit(`"Principal":{"AWS":"arn:aws:iam::111122223333:user/*"},` + read + objects), "cannot hold a wildcard"},
		{"Elements: Principal: no groups", permit(`"Principal":{"AWS":"arn:aws:iam::111122223333:group/dev"},` + read + objects), "no valid principal"},
		{"Elements: Principal: unique identifiers of deleted users", permit(`"Principal":{"AWS":"AIDACKCEVSQ6C2EXAMPLE"},` + read + objects), "deleted user or role"},
		{"Elements: Action: of another service", permit(anybody + `"Action":"dynamodb:GetItem",` + objects), "is no action of S3"},
		{"Variables and tags: not before the fifth colon", permit(anybody + read + `"Resource":"arn:aws:s3:${aws:RequestedRegion}::media"`), "after the fifth colon"},
		{"Variables and tags: not in numbers", permit(anybody + read + objects + on(`"NumericEquals":{"s3:max-keys":"${s3:max-keys}"}`)), "no number"},
		{"Variables and tags: not in dates", permit(anybody + read + objects + on(`"DateEquals":{"aws:CurrentTime":"${aws:CurrentTime}"}`)), "no date"},
		{"Variables and tags: not in addresses", permit(anybody + read + objects + on(`"IpAddress":{"aws:SourceIp":"${aws:SourceIp}"}`)), "no range of IP addresses"},
		{"Variables and tags: not in Null", permit(anybody + read + objects + on(`"Null":{"aws:username":"${aws:username}"}`)), "neither true nor false"},
		{"Condition operators: no wildcards in dates", permit(anybody + read + objects + on(`"DateEquals":{"aws:CurrentTime":"2026-*"}`)), "no date"},
		{"Condition operators: no NullIfExists", permit(anybody + read + objects + on(`"NullIfExists":{"aws:username":"true"}`)), "unknown operator"},
		{"Condition operators: names have case", permit(anybody + read + objects + on(`"stringequals":{"aws:username":"x"}`)), "stringequals: unknown operator"},
		{"Condition operators: unknown", permit(anybody + read + objects + on(`"StringMatches":{"aws:username":"x"}`)), "StringMatches: unknown operator"},
		{"S3: Storage Lens: an operator written twice", permit(anybody + read + objects + on(`"StringEquals":{"s3:x-amz-acl":"a"},"StringEquals":{"aws:SourceAccount":"1"}`)), "StringEquals: named twice"},
	} {
		t.Run(tt.source, func(t *testing.T) {
			_, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":[` + tt.statement + `]}`))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
