/** Who of other accounts may drop files, as statements of the policies of the bucket and its key. */
import { Aws } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { IBucket } from 'aws-cdk-lib/aws-s3';
import type { IConstruct } from 'constructs';
import type { Route } from '../src/contract/route.ts';
import { InvalidConfigurationError } from './configuration.ts';
import { statementId } from './encryption.ts';

/** Who may drop files of a route, by the route's name: roles or users of other accounts, or accounts. */
export type Droppers = Readonly<Record<string, readonly iam.IPrincipal[]>>;

type RouteKeys = Pick<Route, 'name' | 'prefix'>;

const UPLOAD = ['s3:AbortMultipartUpload', 's3:PutObject'];

/**
 * The statements of the bucket's policy: each may put objects below the prefix of the route, and below a route's prefix inside
 * it only if that route names them, too. They may read nothing.
 *
 * @throws InvalidConfigurationError if a name is none of a route.
 */
export function dropperStatements(
  bucket: IBucket,
  routes: readonly RouteKeys[],
  droppers: Droppers,
): iam.PolicyStatement[] {
  const byName = new Map(routes.map((route) => [route.name, route]));
  return Object.entries(droppers).flatMap(([name, principals]) => {
    const route = byName.get(name);
    if (route === undefined) {
      throw new InvalidConfigurationError(
        `droppers names the route ${JSON.stringify(name)}, and the routes are ${[...byName.keys()].join(', ')}: ` +
          'give the name of a route.',
      );
    }
    const below = (prefix: string): string => bucket.arnForObjects(`${prefix}*`);
    const allowed = new iam.PolicyStatement({
      principals: [...principals],
      actions: UPLOAD,
      resources: [below(route.prefix)],
    });
    const denied = routes
      .filter(({ prefix }) => prefix !== route.prefix && prefix.startsWith(route.prefix))
      .flatMap((inner) => {
        const others = principals.filter((one) => !isIn(droppers[inner.name] ?? [], one));
        if (others.length === 0) return [];
        const effect = iam.Effect.DENY;
        return [
          new iam.PolicyStatement({
            effect,
            principals: others,
            actions: UPLOAD,
            resources: [below(inner.prefix)],
          }),
        ];
      });
    return [allowed, ...denied];
  });
}

/** What the policy of the bucket's key has to allow them: to encrypt what they upload, in parts too. */
export function dropperKeyStatements(scope: IConstruct, droppers: Droppers): iam.PolicyStatement[] {
  const principals = Object.values(droppers).flat();
  if (principals.length === 0) return [];
  return [
    new iam.PolicyStatement({
      sid: statementId(scope, 'DroppersToBucket'),
      principals,
      actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
      resources: ['*'],
      conditions: { StringEquals: { 'kms:ViaService': `s3.${Aws.REGION}.${Aws.URL_SUFFIX}` } },
    }),
  ];
}

function isIn(principals: readonly iam.IPrincipal[], wanted: iam.IPrincipal): boolean {
  const text = ({ policyFragment }: iam.IPrincipal): string =>
    JSON.stringify([policyFragment.principalJson, policyFragment.conditions]);
  return principals.some((one) => text(one) === text(wanted));
}
