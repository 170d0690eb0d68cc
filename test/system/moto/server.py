"""
moto (https://github.com/getmoto/moto) as a server, with what its CloudFormation lacks for the template of batchdrop.

    python server.py PORT      on 127.0.0.1; 0 lets the system choose. Prints the port as its first line.

Resource types that moto does not know are added, each as calls of moto's own API through boto3, which checks the names and types of
properties. What moto does wrong in an update or a deletion is corrected. docs/testbed.md lists both.
"""
import json
import sys
import threading

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.awslambda.models import LambdaFunction, LayerVersion
from moto.cloudformation import models as cloudformation
from moto.cloudformation import parsing, responses
from moto.cloudformation import utils as cloudformation_utils
from moto.core.common_models import CloudFormationModel
from moto.core.exceptions import ServiceException
from moto.dynamodb.responses import DynamoHandler
from moto.dynamodb.models.table import Table
from moto.iam.access_control import PermissionResult
from moto.iam.models import ManagedPolicy
from moto.s3.models import FakeBucket
from moto.sqs.models import Queue
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

HOST = "127.0.0.1"
# Filled in once the server has its port: models call back into it.
endpoint = ""


def api(service, account_id, region_name):
    """A client of this very server, as the account that the stack is in."""
    return boto3.client(
        service,
        region_name=region_name,
        endpoint_url=endpoint,
        aws_access_key_id=account_id,
        aws_secret_access_key="moto",
        config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}),
    )


class Added:
    """
    A resource type that moto lacks. Subclasses say which API calls make it and remove it, and name moto's module of their service, by
    which moto registers its models.
    """

    service = ""
    type_name = ""
    name_property = ""

    def __init__(self, physical_id, properties, attributes=None):
        self.physical_resource_id = physical_id
        self.properties = properties
        self.attributes = attributes or {}

    @classmethod
    def cloudformation_type(cls):
        return cls.type_name

    @classmethod
    def cloudformation_name_type(cls):
        return cls.name_property

    @classmethod
    def has_cfn_attr(cls, attr):
        return True

    def is_created(self):
        return True

    def get_cfn_attribute(self, name):
        return self.attributes[name]

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **_):
        properties = cloudformation_json["Properties"]
        return cls.create(api(cls.service, account_id, region_name), resource_name, properties)

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name
    ):
        client = api(cls.service, account_id, region_name)
        return cls.update(client, original_resource, new_resource_name, cloudformation_json["Properties"])

    @classmethod
    def update(cls, client, original, name, properties):
        """Where the call that makes a resource replaces what is there."""
        return cls.create(client, name, properties)

    def delete(self, account_id, region_name):
        try:
            self.remove(api(self.service, account_id, region_name))
        except ClientError as error:
            # moto deletes in no order: what this belonged to may be gone, and this with it.
            missing = error.response["ResponseMetadata"]["HTTPStatusCode"] == 404
            if not missing and "NonExistentQueue" not in error.response["Error"]["Code"]:
                raise


class Secret(Added, CloudFormationModel):
    __module__ = "moto.secretsmanager.models"
    service, type_name, name_property = "secretsmanager", "AWS::SecretsManager::Secret", "Name"

    @classmethod
    def create(cls, client, name, properties):
        arn = client.create_secret(**{**properties, "Name": name})["ARN"]
        return cls(arn, properties, {"Id": arn})

    @classmethod
    def update(cls, client, original, name, properties):
        changed = {key: value for key, value in properties.items() if original.properties.get(key) != value}
        if "Name" in changed:
            raise NotImplementedError("a secret of another name is a replacement, which nothing here needs")
        if changed:
            client.update_secret(SecretId=original.physical_resource_id, **changed)
        original.properties = properties
        return original

    def remove(self, client):
        # As CloudFormation does: the name is free at once.
        client.delete_secret(SecretId=self.physical_resource_id, ForceDeleteWithoutRecovery=True)


class QueuePolicy(Added, CloudFormationModel):
    __module__ = "moto.sqs.models"
    service, type_name = "sqs", "AWS::SQS::QueuePolicy"

    @classmethod
    def create(cls, client, name, properties):
        policy = json.dumps(properties["PolicyDocument"])
        for url in properties["Queues"]:
            client.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        return cls(name, properties)

    def remove(self, client):
        for url in self.properties["Queues"]:
            client.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})


class BucketPolicy(Added, CloudFormationModel):
    __module__ = "moto.s3.models"
    service, type_name = "s3", "AWS::S3::BucketPolicy"

    @classmethod
    def create(cls, client, name, properties):
        client.put_bucket_policy(Bucket=properties["Bucket"], Policy=json.dumps(properties["PolicyDocument"]))
        return cls(properties["Bucket"], properties)

    def remove(self, client):
        client.delete_bucket_policy(Bucket=self.properties["Bucket"])


class EventInvokeConfig(Added, CloudFormationModel):
    __module__ = "moto.awslambda.models"
    service, type_name = "lambda", "AWS::Lambda::EventInvokeConfig"

    @classmethod
    def create(cls, client, name, properties):
        client.put_function_event_invoke_config(
            FunctionName=properties["FunctionName"],
            MaximumRetryAttempts=properties["MaximumRetryAttempts"],
        )
        return cls(name, properties)

    def remove(self, client):
        client.delete_function_event_invoke_config(FunctionName=self.properties["FunctionName"])


class FunctionUrl(Added, CloudFormationModel):
    __module__ = "moto.awslambda.models"
    service, type_name = "lambda", "AWS::Lambda::Url"

    @classmethod
    def create(cls, client, name, properties):
        function = properties["TargetFunctionArn"]
        made = client.create_function_url_config(FunctionName=function, AuthType=properties["AuthType"])
        url = made["FunctionUrl"].rstrip("/") + "/"
        return cls(function, properties, {"FunctionUrl": url, "FunctionArn": function})

    @classmethod
    def update(cls, client, original, name, properties):
        client.update_function_url_config(
            FunctionName=properties["TargetFunctionArn"], AuthType=properties["AuthType"]
        )
        original.properties = properties
        return original

    def remove(self, client):
        client.delete_function_url_config(FunctionName=self.properties["TargetFunctionArn"])


class Alarm(Added, CloudFormationModel):
    __module__ = "moto.cloudwatch.models"
    service, type_name, name_property = "cloudwatch", "AWS::CloudWatch::Alarm", "AlarmName"

    @classmethod
    def create(cls, client, name, properties):
        client.put_metric_alarm(**{**properties, "AlarmName": name})
        return cls(name, properties, {"Arn": client.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["AlarmArn"]})

    def remove(self, client):
        client.delete_alarms(AlarmNames=[self.physical_resource_id])


def create_bucket(create):
    """moto makes a bucket with its name, encryption and tags. The rest it has calls for."""

    def create_whole(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        bucket = create(resource_name, cloudformation_json, account_id, region_name, **kwargs)
        properties = cloudformation_json.get("Properties", {})
        client = api("s3", account_id, region_name)
        if "VersioningConfiguration" in properties:
            client.put_bucket_versioning(
                Bucket=bucket.name, VersioningConfiguration=properties["VersioningConfiguration"]
            )
        if "PublicAccessBlockConfiguration" in properties:
            client.put_public_access_block(
                Bucket=bucket.name,
                PublicAccessBlockConfiguration=properties["PublicAccessBlockConfiguration"],
            )
        if "OwnershipControls" in properties:
            client.put_bucket_ownership_controls(
                Bucket=bucket.name, OwnershipControls=properties["OwnershipControls"]
            )
        if "EventBridgeConfiguration" in properties.get("NotificationConfiguration", {}):
            client.put_bucket_notification_configuration(
                Bucket=bucket.name, NotificationConfiguration={"EventBridgeConfiguration": {}}
            )
        return bucket

    return classmethod(create_whole)


def create_table(create):
    """moto makes a table without what has a call of its own."""

    def create_whole(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        table = create(resource_name, cloudformation_json, account_id, region_name, **kwargs)
        properties = cloudformation_json["Properties"]
        client = api("dynamodb", account_id, region_name)
        if "TimeToLiveSpecification" in properties:
            client.update_time_to_live(
                TableName=table.name, TimeToLiveSpecification=properties["TimeToLiveSpecification"]
            )
        if "PointInTimeRecoverySpecification" in properties:
            client.update_continuous_backups(
                TableName=table.name,
                PointInTimeRecoverySpecification=properties["PointInTimeRecoverySpecification"],
            )
        return table

    return classmethod(create_whole)


def create_function(create):
    """moto makes a function without its layers, though it takes them in an update."""

    def create_whole(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        function = create(resource_name, cloudformation_json, account_id, region_name, **kwargs)
        layers = cloudformation_json["Properties"].get("Layers")
        if layers:
            client = api("lambda", account_id, region_name)
            client.update_function_configuration(FunctionName=function.function_name, Layers=layers)
        return function

    return classmethod(create_whole)


def update_table(cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name):
    """moto forgets a table in an update: it has no method for it. Keys and indexes are not changed by any deployment here."""
    protected = cloudformation_json["Properties"].get("DeletionProtectionEnabled", False)
    api("dynamodb", account_id, region_name).update_table(
        TableName=original_resource.name, DeletionProtectionEnabled=protected
    )
    return original_resource


def replace_layer(cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name):
    """Each change of a layer is another version of it. moto publishes one, and leaves the old one out of the map."""
    made = cls.create_from_cloudformation_json(new_resource_name, cloudformation_json, account_id, region_name)
    delete_layer(original_resource, account_id, region_name)
    return made


def delete_layer(self, account_id, region_name):
    api("lambda", account_id, region_name).delete_layer_version(LayerName=self.name, VersionNumber=self.version)


def update_managed_policy(cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name):
    client = api("iam", account_id, region_name)
    document = json.dumps(cloudformation_json["Properties"]["PolicyDocument"])
    for version in client.list_policy_versions(PolicyArn=original_resource.arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            client.delete_policy_version(PolicyArn=original_resource.arn, VersionId=version["VersionId"])
    client.create_policy_version(PolicyArn=original_resource.arn, PolicyDocument=document, SetAsDefault=True)
    return original_resource


def delete_managed_policy(self, account_id, region_name):
    client = api("iam", account_id, region_name)
    for version in client.list_policy_versions(PolicyArn=self.arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            client.delete_policy_version(PolicyArn=self.arn, VersionId=version["VersionId"])
    client.delete_policy(PolicyArn=self.arn)


CHANGE_SET_CALLS = ("describe_change_set", "delete_change_set", "execute_change_set")


class ChangeSetNotFound(ServiceException):
    code = "ChangeSetNotFound"

    def __init__(self, name, stack):
        super().__init__(f"ChangeSet [{name}] does not exist on stack {stack}")


def of_its_stack(call):
    """Has a call find the change set by its name and its stack."""

    def call_with_arn(self):
        name, stack = self._get_param("ChangeSetName"), self._get_param("StackName")
        backend = self.cloudformation_backend
        for arn, change_set in backend.change_sets.items():
            # moto keeps those of a stack that was deleted, and another one may have its name now.
            if change_set.stack_id not in backend.stacks:
                continue
            if name == arn or (name == change_set.change_set_name and stack in (change_set.stack_name, change_set.stack_id)):
                self.params["ChangeSetName"] = arn
                return call(self)
        raise ChangeSetNotFound(name, stack)

    return call_with_arn


def correct():
    """Changes moto where its CloudFormation is not as AWS's, or refuses what AWS does not."""
    FakeBucket.create_from_cloudformation_json = create_bucket(FakeBucket.create_from_cloudformation_json)
    Table.create_from_cloudformation_json = create_table(Table.create_from_cloudformation_json)
    Table.update_from_cloudformation_json = classmethod(update_table)
    LambdaFunction.create_from_cloudformation_json = create_function(LambdaFunction.create_from_cloudformation_json)
    # moto takes messages out of a queue to run functions in Docker; the tests run them in its place.
    Queue.lambda_event_source_mappings = property(lambda self: {}, lambda self, mappings: None)

    # moto tests the condition of a write and writes in two steps, between which other threads write.
    one_at_a_time = threading.Lock()
    dispatch = DynamoHandler.call_action

    def call_alone(self):
        with one_at_a_time:
            return dispatch(self)

    DynamoHandler.call_action = call_alone

    # What "Ref" gives.
    LayerVersion.physical_resource_id = property(lambda self: self.arn)
    LayerVersion.update_from_cloudformation_json = classmethod(replace_layer)
    LayerVersion.delete = delete_layer
    ManagedPolicy.update_from_cloudformation_json = classmethod(update_managed_policy)
    ManagedPolicy.delete = delete_managed_policy

    # moto evaluates bucket policies without their conditions: "deny without TLS" would refuse everything.
    FakeBucket.get_permission = lambda self, action, resource: PermissionResult.NEUTRAL

    # moto reads TemplateURL path-style only where it names localhost.
    read_template = cloudformation_utils.get_stack_from_s3_url

    def read_from_here(template_url, *args, **kwargs):
        return read_template(template_url.replace(HOST, "localhost"), *args, **kwargs)

    responses.get_stack_from_s3_url = cloudformation.get_stack_from_s3_url = read_from_here

    # moto deletes what an update removes though it is to be retained, and knows "Retain" only.
    delete_resource = parsing.ResourceMap._delete_resource

    def delete_unless_retained(self, parsed_resource, resource_json):
        if not resource_json.get("DeletionPolicy", "Delete").startswith("Retain"):
            delete_resource(self, parsed_resource, resource_json)

    parsing.ResourceMap._delete_resource = delete_unless_retained

    # moto looks for change sets by name only, whatever stack they are of, and says of one that is gone what the CLI does not expect.
    by_arn = {name: getattr(responses.CloudFormationResponse, name) for name in CHANGE_SET_CALLS}
    for name, call in by_arn.items():
        setattr(responses.CloudFormationResponse, name, of_its_stack(call))

    # moto takes the previous value of an SSM parameter, which it has read, for the name of one.
    parse_ssm_parameter = parsing.ResourceMap.parse_ssm_parameter
    parsing.ResourceMap.parse_ssm_parameter = lambda self, value, value_type: (
        parse_ssm_parameter(self, value, value_type) if value.startswith("/") else value
    )

    # moto leaves the outputs of a stack as they were before a change set.
    apply = cloudformation.ChangeSet.apply

    def apply_with_outputs(self):
        apply(self)
        self.stack.template = self.template
        self.stack._parse_template()
        self.stack.output_map = self.stack._create_output_map()

    cloudformation.ChangeSet.apply = apply_with_outputs

    for cached in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
        cached.cache_clear()


def main():
    global endpoint
    correct()
    server = make_server(HOST, int(sys.argv[1]), DomainDispatcherApplication(create_backend_app),
        threaded=True, request_handler=MotoRequestHandler)
    endpoint = f"http://{HOST}:{server.port}"
    print(server.port, flush=True)
    server.serve_forever()


main()
