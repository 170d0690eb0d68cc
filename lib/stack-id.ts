import { Aws, Fn } from 'aws-cdk-lib';

/** The UUID of the stack, from "arn:<partition>:cloudformation:<region>:<account>:stack/<name>/<uuid>". */
export const STACK_UUID = Fn.select(2, Fn.split('/', Aws.STACK_ID));
