using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Devices;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>What <c>optimizer_rule</c> is to the kernels: updates the state a, b, c and returns the new weights, before proximal steps.</summary>
internal interface IOptimizerRule
{
    static abstract Vector512<TReal> Move<TReal>(
        in CpuOptimizerGroup<TReal> group, Vector512<TReal> weight, Vector512<TReal> gradient, ref Vector512<TReal> a, ref Vector512<TReal> b, ref Vector512<TReal> c)
        where TReal : unmanaged;
}

/// <summary>The settings that hold for a tile, ready to use: <c>optimizer_group</c> in <c>optimizer.h</c>.</summary>
internal readonly unsafe struct CpuOptimizerGroup<TReal>
    where TReal : unmanaged
{
    public CpuOptimizerGroup(TReal* settings, TReal* progress, int index)
    {
        TReal* setting = settings + ((long)index * OptimizerKernels.SettingWords);
        TReal* own = progress + OptimizerKernels.ProgressHeader + ((long)index * OptimizerKernels.ProgressWords);
        Vector512<TReal> one = Vector512<TReal>.One;
        First = !progress[2].Equals(default(TReal));
        Rate = Vector512.Create(own[0]);
        CorrectedRate = Rate / Vector512.Create(own[1]);
        InverseRoot2 = one / Vector512.Sqrt(Vector512.Create(own[2]));
        GradientFactor = Vector512.Create(progress[0]);
        CoupledDecay = Vector512.Create(setting[1]);
        DecayFactor = one - (Rate * Vector512.Create(setting[2]));
        Shrinkage = one / (one + (Rate * Vector512.Create(setting[3])));
        Subgradient = Vector512.Create(setting[4]);
        Threshold = Rate * Vector512.Create(setting[5]);
        MaximumNorm = ToDouble(setting[6]);
        Beta1 = Vector512.Create(setting[7]);
        Share1 = Vector512.Create(setting[8]);
        Beta2 = Vector512.Create(setting[9]);
        Share2 = Vector512.Create(setting[10]);
        Epsilon = Vector512.Create(setting[11]);
        Mode = ToDouble(setting[12]) != 0;
        Average = Vector512.Create(setting[13]);
        AverageShare = Vector512.Create(setting[14]);
        Moves1 = ToDouble(setting[7]) > 0;
        Moves2 = ToDouble(setting[9]) > 0;
        HasSubgradient = ToDouble(setting[4]) != 0;
        HasProximalStep = ToDouble(setting[5]) != 0 || ToDouble(setting[3]) != 0;
    }

    public bool First { get; }

    public bool Mode { get; }

    /// <summary>The first average, SGD's velocity, is kept.</summary>
    public bool Moves1 { get; }

    /// <summary>The second average, RMSprop's velocity, is kept.</summary>
    public bool Moves2 { get; }

    public bool HasSubgradient { get; }

    public bool HasProximalStep { get; }

    public double MaximumNorm { get; }

    public Vector512<TReal> Rate { get; }

    /// <summary>rate / (1 - beta1^step).</summary>
    public Vector512<TReal> CorrectedRate { get; }

    /// <summary>1 / sqrt(1 - beta2^step).</summary>
    public Vector512<TReal> InverseRoot2 { get; }

    public Vector512<TReal> GradientFactor { get; }

    public Vector512<TReal> CoupledDecay { get; }

    public Vector512<TReal> DecayFactor { get; }

    public Vector512<TReal> Shrinkage { get; }

    public Vector512<TReal> Subgradient { get; }

    public Vector512<TReal> Threshold { get; }

    public Vector512<TReal> Beta1 { get; }

    public Vector512<TReal> Share1 { get; }

    public Vector512<TReal> Beta2 { get; }

    public Vector512<TReal> Share2 { get; }

    public Vector512<TReal> Epsilon { get; }

    public Vector512<TReal> Average { get; }

    public Vector512<TReal> AverageShare { get; }

    /// <summary>Decay and penalties join the gradient.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<TReal> Slope(Vector512<TReal> weight, Vector512<TReal> gradient)
    {
        Vector512<TReal> slope = (GradientFactor * gradient) + (CoupledDecay * weight);
        return HasSubgradient ? slope + (Subgradient * CpuReal.SignOf(weight)) : slope;
    }

    /// <summary>The proximal step of L1 and L2: exact zeros for small weights. NaN stays.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<TReal> Shrink(Vector512<TReal> weight)
    {
        if (!HasProximalStep) return weight;
        Vector512<TReal> small = Vector512.ConditionalSelect(Vector512.Equals(weight, weight), Vector512<TReal>.Zero, weight);
        Vector512<TReal> below = Vector512.ConditionalSelect(Vector512.LessThan(weight, -Threshold), weight + Threshold, small);
        return Vector512.ConditionalSelect(Vector512.GreaterThan(weight, Threshold), weight - Threshold, below) * Shrinkage;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<TReal> Averaged(Vector512<TReal> average, Vector512<TReal> weight) => First ? weight : (Average * average) + (AverageShare * weight);

    private static double ToDouble(TReal value) => CpuElement.ToDouble(value);
}

/// <summary>The whole pass over the parameters: <c>optimizer_pass</c> in <c>optimizer.h</c>.</summary>
internal readonly unsafe struct CpuOptimizerPass<TRule> : ICpuKernel<OptimizerStepArguments>
    where TRule : struct, IOptimizerRule
{
    public static void Run<T>(in KernelVariant variant, in OptimizerStepArguments arguments)
        where T : unmanaged
    {
        if (typeof(T) == typeof(double))
            Run<T, double>(arguments);
        else
            Run<T, float>(arguments);
    }

    private static void Run<T, TReal>(OptimizerStepArguments a)
        where T : unmanaged
        where TReal : unmanaged, IFloatingPointIeee754<TReal>
    {
        TReal* progress = a.Progress.Pointer<TReal>();
        if (progress[1] != TReal.Zero) return;
        CpuParallel.ForRange((long)a.TensorList.TileCount, CpuParallel.ElementsPerChunk / TensorTable<T>.TileLength, (first, end) =>
        {
            CpuOptimizerGroup<TReal> group = default;
            int current = -1;
            for (long index = first; index < end; index++)
            {
                CpuTile tile = CpuTile.At(a.TensorList, index);
                if (tile.Group != current)
                {
                    current = tile.Group;
                    group = new CpuOptimizerGroup<TReal>(a.Settings.Pointer<TReal>(), progress, current);
                }

                OptimizerTile<T, TReal> work = new(a, tile, group.First);
                work.Update<TRule>(group);
                if (group.MaximumNorm > 0) work.Project(group);
                if (a.CountsZeros != 0) work.CountZeros(a.Zeros.Pointer<uint>() + tile.Tensor);
            }
        });
    }
}

/// <summary>The memory of one tile: parameters, gradients and state, null where a role is not kept.</summary>
internal readonly unsafe struct OptimizerTile<T, TReal>
    where T : unmanaged
    where TReal : unmanaged, IFloatingPointIeee754<TReal>
{
    private readonly T* _parameter;
    private readonly T* _gradient;
    private readonly TReal* _a;
    private readonly TReal* _b;
    private readonly TReal* _c;
    private readonly TReal* _master;
    private readonly TReal* _average;
    private readonly long _count;
    private readonly bool _first;

    public OptimizerTile(in OptimizerStepArguments a, in CpuTile tile, bool first)
    {
        _parameter = a.Parameter.Pointer<T>() + tile.First;
        _gradient = a.Gradient.Pointer<T>() + tile.Second;
        TReal* state = a.State.Pointer<TReal>() + tile.Flat;
        long stride = (long)a.RoleStride;
        _a = Role(state, stride, a.RoleA);
        _b = Role(state, stride, a.RoleB);
        _c = Role(state, stride, a.RoleC);
        _master = Role(state, stride, a.Master);
        _average = Role(state, stride, a.Average);
        _count = tile.Count;
        _first = first;
    }

    public void Update<TRule>(in CpuOptimizerGroup<TReal> group)
        where TRule : struct, IOptimizerRule
    {
        bool averages = _average != null && group.MaximumNorm == 0;
        for (long i = 0; i < _count; i += Vector512<TReal>.Count)
        {
            int part = (int)Math.Min(Vector512<TReal>.Count, _count - i);
            Vector512<TReal> weight = _master != null && !_first ? CpuReal.Load(_master + i, part) : CpuReal.Load<T, TReal>(_parameter + i, part);
            Vector512<TReal> a = State(_a, i, part), b = State(_b, i, part), c = State(_c, i, part);
            Vector512<TReal> slope = group.Slope(weight, CpuReal.Load<T, TReal>(_gradient + i, part));
            weight = group.Shrink(TRule.Move(group, weight, slope, ref a, ref b, ref c));
            if (_a != null) CpuReal.Store(_a + i, a, part);
            if (_b != null) CpuReal.Store(_b + i, b, part);
            if (_c != null) CpuReal.Store(_c + i, c, part);
            if (_master != null) CpuReal.Store(_master + i, weight, part);
            CpuReal.Store(_parameter + i, weight, part);
            if (averages) CpuReal.Store(_average + i, group.Averaged(State(_average, i, part), weight), part);
        }
    }

    /// <summary>Scales a row that is too long, and only then lets it into the average.</summary>
    public void Project(in CpuOptimizerGroup<TReal> group)
    {
        Vector512<TReal> squares = Vector512<TReal>.Zero;
        for (long i = 0; i < _count; i += Vector512<TReal>.Count)
        {
            Vector512<TReal> weight = Weight(i, (int)Math.Min(Vector512<TReal>.Count, _count - i));
            squares += weight * weight;
        }

        double square = CpuElement.ToDouble(Vector512.Sum(squares));
        bool tooLong = square > group.MaximumNorm * group.MaximumNorm;
        Vector512<TReal> scale = Vector512.Create(TReal.CreateChecked(tooLong ? group.MaximumNorm / Math.Sqrt(square) : 1));
        for (long i = 0; i < _count && (tooLong || _average != null); i += Vector512<TReal>.Count)
        {
            int part = (int)Math.Min(Vector512<TReal>.Count, _count - i);
            Vector512<TReal> weight = Weight(i, part) * scale;
            if (tooLong && _master != null) CpuReal.Store(_master + i, weight, part);
            if (tooLong) CpuReal.Store(_parameter + i, weight, part);
            if (_average != null) CpuReal.Store(_average + i, group.Averaged(State(_average, i, part), weight), part);
        }
    }

    public void CountZeros(uint* total)
    {
        uint zeros = 0;
        for (long i = 0; i < _count; i++) zeros += CpuElement.ToDouble(_parameter[i]) == 0 ? 1u : 0;
        if (zeros > 0) Interlocked.Add(ref *total, zeros);
    }

    private static TReal* Role(TReal* state, long stride, uint role) => role == OptimizerKernels.NoRole ? null : state + (role * stride);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector512<TReal> State(TReal* state, long i, int part) => state == null || _first ? Vector512<TReal>.Zero : CpuReal.Load(state + i, part);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector512<TReal> Weight(long i, int part) => _master != null ? CpuReal.Load(_master + i, part) : CpuReal.Load<T, TReal>(_parameter + i, part);
}

/// <summary>Sums of squares and non-finite gradients of each tile.</summary>
internal readonly unsafe struct CpuGradientSquares : ICpuKernel<GradientSquaresArguments>
{
    public static void Run<T>(in KernelVariant variant, in GradientSquaresArguments arguments)
        where T : unmanaged
    {
        if (typeof(T) == typeof(double))
            Run<T, double>(arguments);
        else
            Run<T, float>(arguments);
    }

    private static void Run<T, TReal>(GradientSquaresArguments a)
        where T : unmanaged
        where TReal : unmanaged
    {
        CpuParallel.ForRange((long)a.TensorList.TileCount, CpuParallel.ElementsPerChunk / TensorTable<T>.TileLength, (first, end) =>
        {
            for (long place = first; place < end; place++)
            {
                CpuTile tile = CpuTile.At(a.TensorList, place);
                T* gradient = a.Gradient.Pointer<T>() + tile.Second;
                Vector512<TReal> square = Vector512<TReal>.Zero, fault = Vector512<TReal>.Zero;
                for (long i = 0; i < tile.Count; i += Vector512<TReal>.Count)
                {
                    Vector512<TReal> value = CpuReal.Load<T, TReal>(gradient + i, (int)Math.Min(Vector512<TReal>.Count, tile.Count - i));
                    square += value * value;
                    // 0, or NaN for infinities and NaN.
                    fault += value - value;
                }

                TReal* sums = a.Sums.Pointer<TReal>() + (2 * tile.Index);
                sums[0] = Vector512.Sum(square);
                sums[1] = Vector512.Sum(fault);
            }
        });
    }
}

/// <summary>What holds for one step: <c>optimizer_prepare</c>.</summary>
internal readonly unsafe struct CpuPrepare : ICpuKernel<OptimizerPrepareArguments>
{
    public static void Run<T>(in KernelVariant variant, in OptimizerPrepareArguments arguments)
        where T : unmanaged
    {
        if (typeof(T) == typeof(double))
            Run<double>(arguments);
        else
            Run<float>(arguments);
    }

    private static void Run<TReal>(in OptimizerPrepareArguments a)
        where TReal : unmanaged, IFloatingPointIeee754<TReal>
    {
        TReal* progress = a.Progress.Pointer<TReal>();
        TReal* settings = a.Settings.Pointer<TReal>();
        TReal* sums = a.Sums.Pointer<TReal>();
        ulong* counts = a.Counts.Pointer<ulong>();
        ulong steps = counts[0];
        double square = 0, fault = 0;
        for (ulong tile = 0; tile < a.MeasuredTiles; tile++)
        {
            square += CpuElement.ToDouble(sums[2 * tile]);
            fault += CpuElement.ToDouble(sums[(2 * tile) + 1]);
        }

        double factor = 1 / (a.HasLossScale != 0 ? *a.LossScales.Pointer<float>() : a.LossScale);
        double norm = Math.Sqrt(square) * factor;
        // Math.Min keeps a NaN, so that the weights show it.
        if (a.MaximumNorm > 0) factor *= Math.Min(1, a.MaximumNorm / (norm + 1e-6));
        bool skip = a.SkipsFaults != 0 && double.IsNaN(fault);
        progress[0] = TReal.CreateChecked(factor);
        progress[1] = skip ? TReal.One : TReal.Zero;
        progress[2] = steps == 0 ? TReal.One : TReal.Zero;
        progress[3] = TReal.CreateChecked(norm);
        counts[skip ? 1 : 0]++;
        if (skip) return;
        if (a.CountedTensors > 0) new Span<uint>(a.Zeros.Pointer<uint>(), (int)a.CountedTensors).Clear();
        for (ulong group = 0; group < a.Groups; group++)
        {
            TReal* setting = settings + (group * OptimizerKernels.SettingWords);
            TReal* own = progress + OptimizerKernels.ProgressHeader + (group * OptimizerKernels.ProgressWords);
            own[0] = a.HasRates != 0 ? TReal.CreateChecked(a.Rates.Pointer<float>()[group]) : setting[0];
            for (int k = 0; k < 2; k++) own[1 + k] = TReal.CreateChecked(Rise((steps + 1) * CpuElement.ToDouble(setting[15 + k])));
        }
    }

    /// <summary>1 - e^-x, without cancellation where x is small: <c>rise</c> in the text.</summary>
    private static double Rise(double x)
    {
        if (!(x < 0.5)) return 1 - Math.Exp(-x);
        double sum = 1;
        for (int k = 16; k > 1; k--) sum = 1 - (x / k * sum);
        return x * sum;
    }
}
