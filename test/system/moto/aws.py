"""
One call through boto3, for services of which the project has no client of its own.

    python aws.py URL SERVICE OPERATION JSON      such as lambda get_function '{"FunctionName": "f"}'

Prints the answer as JSON, all pages of it where the operation has pages.
"""
import json
import sys

import boto3

url, service, operation, parameters = sys.argv[1:]
client = boto3.client(
    service, region_name="us-east-1", endpoint_url=url, aws_access_key_id="test", aws_secret_access_key="test"
)
arguments = json.loads(parameters)
if client.can_paginate(operation):
    answer = client.get_paginator(operation).paginate(**arguments).build_full_result()
else:
    answer = getattr(client, operation)(**arguments)
print(json.dumps(answer, default=str))
