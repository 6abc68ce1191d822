namespace Kernels.Study;

/// <content>Of several shards: their branches go side by side.</content>
internal sealed partial class ResidualLayer
{
    public override LayerGroup Together(IReadOnlyList<Layer> shards, Layer evaluated, ShardSetup setup)
    {
        ResidualLayer[] blocks = [.. shards.Cast<ResidualLayer>()];
        return new Blocks(blocks, _branch.Together([.. blocks.Select(block => block._branch)], ((ResidualLayer)evaluated)._branch, setup));
    }

    private sealed class Blocks(ResidualLayer[] blocks, LayerGroup branches) : LayerGroup
    {
        public override void Forward(ShardStep step, DeviceTensor<float>?[] x)
        {
            DeviceTensor<float>?[] input = [.. x];
            branches.Forward(step, x);
            for (int i = 0; i < x.Length; i++)
            {
                if (x[i] is not { } y) continue;
                blocks[i]._y = y;
                blocks[i].Join(step.Steps[i]!.Value, input[i]!);
            }
        }

        public override bool Backward(ShardStep step, DeviceTensor<float>?[] dy)
        {
            for (int i = 0; i < dy.Length; i++)
                if (dy[i] is { } gradient) blocks[i].Split(step.Steps[i]!.Value, gradient);
            branches.Backward(step, dy);
            for (int i = 0; i < dy.Length; i++)
                if (dy[i] is { } dx) blocks[i].AddSkip(step.Steps[i]!.Value, dx);
            return true;
        }

        public override void Dispose() => branches.Dispose();
    }
}
