import type { IpFamily } from '../../snapshot/proxy.ts';

/** A `mesh.yaml` as read: every default filled in, every path absolute. */
export interface MeshFile {
  /** Absolute. */
  readonly path: string;
  /** Name of the mesh: key `name`, else the file's directory. A DNS label. */
  readonly name: string;
  /** Of the identities (`spiffe://<trust domain>/ns/…`). Default `cluster.local`. */
  readonly trustDomain: string;
  /** Loopback addresses that the mesh uses. Default: IPv4 alone. */
  readonly ipFamilies: readonly IpFamily[];
  /** Sidecars load what they need on the first request. Default false. */
  readonly lazy: boolean;
  /** Refusals tell callers inside the mesh who decided. Default true. */
  readonly explainRefusals: boolean;
  /** How much of the past is kept; what is absent is as the control plane has it (64 MiB, 7 days, 100,000 changes). */
  readonly history: MeshHistory;
  readonly workloads: readonly MeshWorkload[];
  readonly gateways: readonly MeshGateway[];
  /** Files and directories of configuration that are applied before the workloads start; absolute. */
  readonly apply: readonly string[];
  /** Ranges that the control plane may fetch keys of tokens from although they are not public (`127.0.0.0/8`). Default none. */
  readonly allowFetch: readonly string[];
}

export interface MeshHistory {
  /** 0: nothing is kept. */
  readonly maxMiB?: number;
  readonly maxDays?: number;
  readonly maxChanges?: number;
}

export interface MeshWorkload {
  /** The key under `services`, such as `reviews-v1`: names its pods. A DNS label. */
  readonly name: string;
  /** Kubernetes Service that it is part of. Default: its name. */
  readonly service: string;
  /** Label `version`. Default `v1`. */
  readonly version: string;
  /** Default `default`. */
  readonly namespace: string;
  /** Labels of its pods, `app` and `version` included. */
  readonly labels: Readonly<Record<string, string>>;
  /** WorkloadGroup that it registers with (`ostria run --group`): its entry is then the control plane's to make. */
  readonly group?: string;
  /** Default: the service's name. */
  readonly serviceAccount: string;
  /** Program and arguments; never empty. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Absolute. Default: the directory of the file. */
  readonly workingDirectory: string;
  readonly ports: readonly MeshPort[];
  readonly replicas: number;
  readonly dependsOn: readonly Dependency[];
  /** Absent: ready when the application's port accepts connections. */
  readonly healthcheck?: Healthcheck;
  readonly restart: RestartPolicy;
  /** Started only when one of these is asked for; empty: always. */
  readonly profiles: readonly string[];
}

export interface MeshPort {
  /** Kubernetes port name; its prefix tells the protocol. */
  readonly name: string;
  /** The port that callers use. */
  readonly port: number;
  readonly protocol: string;
  /** Where the application insists on listening; absent: it takes the port given as `PORT`. */
  readonly target?: number;
}

export interface Dependency {
  /** Key of a workload. */
  readonly name: string;
  readonly condition: 'service_started' | 'service_healthy' | 'service_completed_successfully';
}

/** Durations in milliseconds. */
export interface Healthcheck {
  readonly test:
    | { readonly type: 'exec'; readonly command: readonly string[] }
    | { readonly type: 'http'; readonly path: string };
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Failures in a row that make a ready workload unready. */
  readonly retries: number;
  /** Failures within this time after the start do not count. */
  readonly startPeriodMs: number;
}

export interface RestartPolicy {
  readonly when: 'never' | 'always' | 'on-failure';
  /** Restarts in a row before it is given up; absent: no limit. */
  readonly max?: number;
}

/** An Envoy at the edge, configured by Gateway objects whose selector matches its labels. */
export interface MeshGateway {
  /** The key under `gateways`; names its Service and its pod. */
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly ports: readonly GatewayPort[];
  /** Started for a Gateway API Gateway, by its `namespace/name`, and not part of the mesh file. */
  readonly startedFor?: string;
}

export interface GatewayPort {
  readonly name: string;
  /** Server port number, as Gateway objects name it. */
  readonly port: number;
  /** Port on this machine; absent: allocated. */
  readonly published?: number;
  /** Port on this machine that is taken if it is free. */
  readonly preferred?: number;
}

/** One thing wrong with a mesh file. */
export interface MeshFileProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** What is wrong, why, and how to mend it. */
  readonly message: string;
}
