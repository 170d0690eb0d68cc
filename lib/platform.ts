/** How all functions of a pipeline run, and what they have in common with each other alone. */
import { type ISecurityGroup, type IVpc, SecurityGroup, type SubnetSelection } from 'aws-cdk-lib/aws-ec2';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { Architecture } from 'aws-cdk-lib/aws-lambda';
import type { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';

/** Where functions are in the network. */
export interface NetworkProps {
  /**
   * A VPC into whose subnets the functions are put. They need a way to S3, DynamoDB, SQS, Secrets Manager, EventBridge (endpoints or
   * NAT) and to OpenAI (NAT or `httpsProxy`): see docs/variants.md.
   *
   * @default - no VPC: Lambda's own network, with the internet
   */
  readonly vpc?: IVpc | undefined;
  /** Which subnets of the VPC. @default - its private subnets */
  readonly vpcSubnets?: SubnetSelection | undefined;
  /** Security groups of the functions; they open connections (TCP 443, and the proxy's port) and take none. @default - one for all functions, which lets all out */
  readonly securityGroups?: readonly ISecurityGroup[] | undefined;
}

/** How functions run. */
export interface Platform extends NetworkProps {
  /** Instruction set. @default Architecture.ARM_64 */
  readonly architecture?: Architecture | undefined;
  /** How long log lines are kept. @default RetentionDays.ONE_MONTH */
  readonly logRetention?: RetentionDays | undefined;
  /** Key with which log lines, and the secrets of webhooks, are encrypted. @default - AWS's own */
  readonly encryptionKey?: IKey | undefined;
}

/** What of all props says how functions run. In a VPC without security groups, they share one that is made. */
export function platformOf(scope: Construct, props: Platform): Platform {
  const { architecture, logRetention, encryptionKey, vpc, vpcSubnets } = props;
  const newGroup = (within: IVpc): ISecurityGroup =>
    new SecurityGroup(scope, 'SecurityGroup', { vpc: within, description: 'Functions of batchdrop' });
  const securityGroups = props.securityGroups ?? (vpc === undefined ? undefined : [newGroup(vpc)]);
  return { architecture, logRetention, encryptionKey, vpc, vpcSubnets, securityGroups };
}
