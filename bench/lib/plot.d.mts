export interface Panel {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly {
    readonly name: string;
    readonly points: readonly (readonly [number, number])[];
    readonly proportional?: boolean;
  }[];
}

export function plot(panels: readonly Panel[], columns?: number): string;
