/** The URLs of a template: of functions, and of HTTP APIs in front of one. */
import type { NamedTemplate } from './names.ts';
import type { FunctionPlan, UrlPlan } from './plan.ts';

interface Permission {
  Action: string;
  FunctionName: string;
  Principal: string;
  FunctionUrlAuthType?: string;
  InvokedViaFunctionUrl?: boolean;
}

/** What AWS wants of a function's own policy before its URL reaches it; the second one since October 2025. */
const URL_PERMISSIONS: readonly [action: string, isMeant: (permission: Permission) => boolean][] = [
  ['lambda:InvokeFunctionUrl', ({ FunctionUrlAuthType }) => FunctionUrlAuthType === 'NONE'],
  ['lambda:InvokeFunction', ({ InvokedViaFunctionUrl }) => String(InvokedViaFunctionUrl) === 'true'],
];

/** @param problems gets what AWS would refuse, or answer 403. */
export function planUrls(
  named: NamedTemplate,
  functions: readonly FunctionPlan[],
  problems: string[],
): UrlPlan[] {
  const permissions = named
    .resourcesOf('AWS::Lambda::Permission')
    .map(({ properties }) => properties as Permission);
  const may = (target: FunctionPlan, principal: string, action: string) =>
    permissions.filter(
      ({ Action, Principal, FunctionName }) =>
        Action === action &&
        Principal === principal &&
        (FunctionName === target.arn || FunctionName === target.name),
    );
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
    if (AuthType === 'AWS_IAM') return [{ name, functionName: target.name, signedFor: target.arn }];
    for (const [action, isMeant] of URL_PERMISSIONS)
      if (!may(target, '*', action).some(isMeant))
        problems.push(`${path} would answer 403: no AWS::Lambda::Permission allows ${action} to everybody`);
    return [{ name, functionName: target.name }];
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
      if (may(target, 'apigateway.amazonaws.com', 'lambda:InvokeFunction').length === 0)
        problems.push(`${path} may not invoke ${target.path}: no AWS::Lambda::Permission allows it`);
      return [{ name, functionName: target.name, routeKey: RouteKey }];
    });
  });
  return [...ofFunctions, ...ofApis];
}
