/** The URLs of a template: of functions, and of HTTP APIs in front of one. */
import type { ApiCall } from '../services/iam/policy.ts';
import { ACCOUNT_ID, REGION } from './account.ts';
import type { NamedTemplate } from './names.ts';
import type { FunctionPlan, UrlPlan } from './plan.ts';
import { decideForAnybody, decideForService, type StackPolicies } from './policies.ts';

/** What AWS asks of a function's own policy before its URL reaches it; the second one since October 2025. */
export const URL_CALLS: readonly ApiCall[] = [
  { action: 'lambda:InvokeFunctionUrl', resource: '', context: { 'lambda:FunctionUrlAuthType': 'NONE' } },
  { action: 'lambda:InvokeFunction', resource: '', context: { 'lambda:InvokedViaFunctionUrl': 'true' } },
];

/** The ARN of a route of an HTTP API: its one stage, method and path. */
export function routeArn(api: string, routeKey: string): string {
  return `arn:aws:execute-api:${REGION}:${ACCOUNT_ID}:${api}/$default/${routeKey.replace(' ', '')}`;
}

/** @param problems gets what AWS would refuse, or answer 403. */
export function planUrls(
  named: NamedTemplate,
  functions: readonly FunctionPlan[],
  policies: StackPolicies,
  problems: string[],
): UrlPlan[] {
  const targetOf = (path: string, arn: string): FunctionPlan | undefined => {
    const target = functions.find((each) => each.arn === arn || each.name === arn);
    if (target === undefined) problems.push(`${path} leads to ${arn}, which is no function of the stack`);
    return target;
  };
  const ofFunctions = named.resourcesOf('AWS::Lambda::Url').flatMap(({ path, name, properties }) => {
    const { AuthType, TargetFunctionArn } = properties as { AuthType: string; TargetFunctionArn: string };
    const target = targetOf(path, TargetFunctionArn);
    if (target === undefined) return [];
    // The rights are the callers': see the managed policies of the template.
    const plan = { name, functionName: target.name, functionArn: target.arn };
    if (AuthType === 'AWS_IAM') return [{ ...plan, isSigned: true }];
    for (const { action, context } of URL_CALLS)
      if (!('grants' in decideForAnybody(policies, { action, context, resource: target.arn })))
        problems.push(`${path} would answer 403: no AWS::Lambda::Permission allows ${action} to everybody`);
    return [{ ...plan, isSigned: false }];
  });
  const ofApis = named.resourcesOf('AWS::ApiGatewayV2::Api').flatMap(({ name, path }) => {
    const routes = named
      .resourcesOf('AWS::ApiGatewayV2::Route')
      .map(({ properties }) => properties as { ApiId: string; RouteKey: string; Target: string })
      .filter(({ ApiId }) => ApiId === name);
    const integrations = named.resourcesOf('AWS::ApiGatewayV2::Integration');
    return routes.flatMap(({ RouteKey, Target }) => {
      const integration = integrations.find((each) => Target === `integrations/${each.name}`);
      const { IntegrationUri = '' } = (integration?.properties ?? {}) as { IntegrationUri?: string };
      const target = targetOf(path, IntegrationUri);
      if (target === undefined) return [];
      const call = { action: 'lambda:InvokeFunction', resource: target.arn };
      const decision = decideForService(policies, 'apigateway.amazonaws.com', routeArn(name, RouteKey), call);
      if (!('grants' in decision))
        problems.push(`${path} may not invoke ${target.path}: no AWS::Lambda::Permission allows it`);
      return [
        {
          name,
          functionName: target.name,
          functionArn: target.arn,
          routeKey: RouteKey,
          isSigned: false,
        },
      ];
    });
  });
  return [...ofFunctions, ...ofApis];
}
